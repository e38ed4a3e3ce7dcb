# Gradients of the neural ODE three ways, and their tests. Twin of engines/torch/gradient_test.py.

module GradientTest

using LinearAlgebra
using DifferentialEquations: ODEProblem, Tsit5, init, solve, step!

using ..NumDLBridge: Fit, RULES_OF_2019, STUDIES, StudyAnswer, Unavailable, continuous_gradient,
                     discrete_gradient, forward_gradient, neural_ode, observed, sciml_gradient,
                     sciml_missing, solve_forward, whole_gradient

const TOLERANCES = ("1e-7" => (1e-7, 1e-9), "1e-2" => (1e-2, 1e-2))
# Two published E0 columns, of the variants 1e-2 and RK4, are really of forward solves at this tolerance.
const TOLERANCE_OF_E0 = 1e-3
const METHODS = (:backsolve, :reset, :interpolation, :checkpoints)
const REFERENCE_SUBSTEPS = 40
const SENSEALGS = ("backsolve", "checkpoints", "interpolating", "gauss")

"The tolerances that the working precision can meet."
tolerances(options) = [name => pair for (name, pair) in TOLERANCES
                       if pair[1] > (options["dtype"] == "float64" ? 2.0^-52 : 2.0^-23)]

"The fit at the data times, and the published one whose RK4 solution stands at j 1.5/n."
function fits(inputs)
    data = inputs["data"]
    loss(states) = sum((states - data) .^ 2)
    return (Fit(neural_ode, inputs["u0"], inputs["times"], loss),
            Fit(neural_ode, inputs["u0"], inputs["times_published"], loss))
end

"Iterate k and its weights, one column each."
weights(inputs, options) =
    [k => inputs["theta"][:, column] for (column, k) in enumerate(options["iterates"])]

"Discretise, then optimise: RK4 as published, aligned with the data, and refined."
function discrete(inputs, options)
    fit, published = fits(inputs)
    d, h = inputs["d"], inputs["h"]
    found = Dict{String, Any}()
    for (k, theta) in weights(inputs, options)
        g, aligned = discrete_gradient(published, theta), discrete_gradient(fit, theta)
        slope = dot(g.theta, d)
        E0 = [published.loss(observed(published, theta + s * d)) - g.loss for s in h]
        found["loss/rk4/$k"], found["gradient/rk4/$k"] = g.loss, g.theta
        found["loss/rk4_aligned/$k"], found["gradient/rk4_aligned/$k"] = aligned.loss, aligned.theta
        found["gradient/rk4/forward/$k"] = forward_gradient(published, theta).theta
        found["gradient/reference/$k"] =
            discrete_gradient(fit, theta; substeps = REFERENCE_SUBSTEPS).theta
        found["directional/rk4/$k"] = slope
        found["E0/rk4/$k"], found["E1/rk4/$k"] = abs.(E0), abs.(E0 - h * slope)
        k == 0 && (found["gradient/rk4/eager/0"] = whole_gradient(published, theta).theta)
    end
    return found
end

"Optimise, then discretise: Tsit5 and continuous adjoint with the controller of 2019."
function continuous(inputs, options)
    fit, _ = fits(inputs)
    found = Dict{String, Any}()
    for (k, theta) in weights(inputs, options)
        for (name, tolerance) in tolerances(options)
            merge!(found, by_adjoints(fit, theta, inputs, "$name/$k", tolerance))
        end
        k == 0 && options["dtype"] == "float64" &&
            (found["E0/1e-3/0"] = abs.(changes(fit, theta, inputs, TOLERANCE_OF_E0, TOLERANCE_OF_E0)))
    end
    return found
end

"J(theta + h d) - J(theta) for every h, by adaptive forward solves with the controller of 2019."
function changes(fit, theta, inputs, rtol, atol)
    loss(p) = fit.loss(reduce(hcat, solve_forward(fit, p; rtol, atol, RULES_OF_2019...).u))
    start = loss(theta)
    return [loss(theta + h * inputs["d"]) - start for h in inputs["h"]]
end

"Loss, gradients and their Taylor remainders at one iterate and tolerance, named with `at`."
function by_adjoints(fit, theta, inputs, at, (rtol, atol))
    found, slopes = Dict{String, Any}(), Dict{Symbol, Any}()
    for method in METHODS
        g = continuous_gradient(fit, theta, method; rtol, atol, RULES_OF_2019...)
        slopes[method] = dot(g.theta, inputs["d"])
        found["gradient/$method/$at"] = or_reason(g, g.theta)
        found["directional/$method/$at"] = or_reason(g, slopes[method])
        method === :backsolve || continue
        found["loss/$at"], found["inverse/$at"] = g.loss, or_reason(g, g.back)
    end
    E0 = changes(fit, theta, inputs, rtol, atol)
    found["E0/$at"] = abs.(E0)
    for method in (:backsolve, :interpolation)
        found["E1/$method/$at"] = abs.(E0 - inputs["h"] * slopes[method])
    end
    return found
end

or_reason(g, value) = g.outcome == "success" ? value : Unavailable(g.outcome)

"OrdinaryDiffEq as it is today, at 1e-7: what a user gets, and the un-reset backsolve."
function today(inputs, options)
    fit, _ = fits(inputs)
    found = Dict{String, Any}()
    name, (rtol, atol) = first(TOLERANCES)
    name in first.(tolerances(options)) || return found
    for (k, theta) in weights(inputs, options)
        if k == 0
            native = continuous_gradient(fit, theta, :interpolation; rtol, atol)
            found["loss/native/0"], found["gradient/native/0"] = native.loss, or_reason(native, native.theta)
        end
        g = continuous_gradient(fit, theta, :backsolve; rtol, atol)
        found["gradient/tsit5/$k"], found["inverse/tsit5/$k"] = or_reason(g, g.theta), or_reason(g, g.back)
    end
    return found
end

"SciMLSensitivity's adjoints at 1e-7, where that package is installed."
function sciml(inputs, options)
    fit, _ = fits(inputs)
    found = Dict{String, Any}()
    name, (rtol, atol) = first(TOLERANCES)
    name in first.(tolerances(options)) || return found
    for (k, theta) in weights(inputs, options), sensealg in SENSEALGS
        why = sciml_missing()
        found["gradient/sciml/$sensealg/$k"] = why === nothing ?
            sciml_gradient(fit, theta, sensealg; rtol, atol).theta : Unavailable(why)
    end
    return found
end

"Steps and solution of Tsit5 as it is today, and replayed on a given grid, at iterate 0."
function steps(inputs, options)
    found = Dict{String, Any}()
    0 in options["iterates"] || return found
    theta = Dict(weights(inputs, options))[0]
    fit, _ = fits(inputs)
    times = fit.times
    problem = ODEProblem((u, p, t) -> neural_ode(t, u, p), fit.u0, (times[1], times[end]), theta)
    for (name, (rtol, atol)) in tolerances(options)
        integrator = init(problem, Tsit5(); reltol = rtol, abstol = atol, saveat = times,
                          save_everystep = false)
        sizes, accepted = eltype(times)[], Int[]
        while integrator.t < times[end]
            before = integrator.stats.nreject
            step!(integrator)
            append!(accepted, zeros(Int, integrator.stats.nreject - before), 1)
            push!(sizes, integrator.t - integrator.tprev)
        end
        found["steps/tsit5/$name"], found["accepted/tsit5/$name"] = sizes, accepted
        found["evaluations/tsit5/$name"] = integrator.stats.nf
        found["solution/tsit5/$name"] = reduce(hcat, integrator.sol.u)
        name == "1e-7" || continue
        replayed = solve(problem, Tsit5(); adaptive = false, tstops = inputs["grid/1e-7"], saveat = times)
        found["solution/tsit5/1e-7/replayed"] = reduce(hcat, replayed.u)
    end
    return found
end

function tasks(inputs, options)
    fit, published = fits(inputs)
    theta, (rtol, atol) = inputs["theta"][:, 1], last(first(TOLERANCES))
    named = Dict{String, Function}(
        "forward/rk4" => () -> observed(published, theta),
        "gradient/rk4" => () -> discrete_gradient(published, theta),
        "gradient/rk4/eager" => () -> whole_gradient(published, theta),
        "gradient/rk4/forward" => () -> forward_gradient(published, theta),
    )
    "1e-7" in first.(tolerances(options)) || return named
    named["forward/1e-7"] = () -> solve_forward(fit, theta; rtol, atol, RULES_OF_2019...)
    for method in METHODS
        named["gradient/$method/1e-7"] =
            () -> continuous_gradient(fit, theta, method; rtol, atol, RULES_OF_2019...)
    end
    named["gradient/native"] = () -> continuous_gradient(fit, theta, :interpolation; rtol, atol)
    return named
end

STUDIES["gradient_test"] = StudyAnswer(
    ["discrete" => discrete, "continuous" => continuous, "today" => today, "sciml" => sciml,
     "steps" => steps], tasks)

end
