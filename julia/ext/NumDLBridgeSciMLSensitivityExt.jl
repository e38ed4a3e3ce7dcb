# SciMLSensitivity's adjoints, always with the sensealg named: its default depends on the number of
# parameters.
module NumDLBridgeSciMLSensitivityExt

using DifferentialEquations: ODEProblem, Tsit5, solve
using NumDLBridge: NumDLBridge
using PrecompileTools: @compile_workload
using SciMLSensitivity: BacksolveAdjoint, GaussAdjoint, InterpolatingAdjoint, QuadratureAdjoint,
                        ZygoteVJP
using SciMLBase: successful_retcode
using Zygote: Zygote

const SENSEALGS = Dict(
    # The adjoint of 2019: the state is integrated backward and never reset.
    "backsolve" => BacksolveAdjoint(; autojacvec = ZygoteVJP(), checkpointing = false),
    "checkpoints" => BacksolveAdjoint(; autojacvec = ZygoteVJP(), checkpointing = true),
    "interpolating" => InterpolatingAdjoint(; autojacvec = ZygoteVJP()),
    "gauss" => GaussAdjoint(; autojacvec = ZygoteVJP()),
    "quadrature" => QuadratureAdjoint(; autojacvec = ZygoteVJP(), abstol = 1e-9, reltol = 1e-7),
)

function NumDLBridge.sciml_gradient(fit, theta, sensealg; rtol, atol, algorithm = Tsit5(), options...)
    function objective(theta)
        problem = ODEProblem((u, p, t) -> fit.f(t, u, p), fit.u0, (fit.times[1], fit.times[end]), theta)
        solution = solve(problem, algorithm; reltol = rtol, abstol = atol, saveat = fit.times,
                         sensealg = SENSEALGS[sensealg], options...)
        successful_retcode(solution) || throw(ErrorException("forward: $(solution.retcode)"))
        return fit.loss(Array(solution))
    end
    value, (gradient,) = Zygote.withgradient(objective, theta)
    return (; loss = value, theta = gradient)
end

# As in src/precompile.jl, and for the same releases: the first of these gradients compiles for a
# minute.
if VERSION >= v"1.10.3"
    @compile_workload begin
        for (study, answer) in (("gradient_test", NumDLBridge.GradientTest.sciml),
                                ("training", NumDLBridge.Training.with_sciml))
            include_dependency(joinpath(NumDLBridge.FIXTURES, "$study.bin"))
            try
                answer(NumDLBridge.example(study)...)
            catch failure
                @warn "precompiling SciMLSensitivity's adjoints" study failure
            end
        end
    end
end

end
