# Four networks, the flow behind one, stability, inverses. Twin of engines/torch/propagation.py.
#
# Weights of layer j are K1[j, :, :] and b1[j, :], as they arrive.

module Propagation

using LinearAlgebra
using Flux: Chain, Dense, Flux
using ForwardDiff: ForwardDiff
using Zygote: Zygote

using ..NumDLBridge: STUDIES, StudyAnswer, advance, as_state, by_run, forward_euler, integrate, log_cosh,
                     relative, rk4, row_major, uniform_times

const ARCHITECTURES = (mlp = (:K1, :b1, :Y0), resnet = (:K1, :b1, :Y0),
                       resnet2 = (:K1, :b1, :K2, :b2, :Y0), residual = (:K1, :b1, :K2, :Y0))
const FLOW_WEIGHTS = (:Theta_K1, :Theta_b, :Theta_K2, :Y0)
const N_ENERGY = 5

"The study's inputs of these names, as a named tuple that Zygote can differentiate by."
choose(inputs, names) = NamedTuple{names}(Tuple(inputs[String(name)] for name in names))

"The network `name` as a Flux chain; see `studies.propagation.ARCHITECTURES`."
function network(name, w)
    depth = size(w.K1, 1)
    h = as_state(1 / depth, w.Y0)
    inner(j) = Dense(w.K1[j, :, :], w.b1[j, :], tanh)
    name === :mlp && return Chain([inner(j) for j in 1:depth])
    name === :resnet && return Chain([Flux.SkipConnection(inner(j), (F, Y) -> Y + F) for j in 1:depth])
    name === :resnet2 && return Chain([Flux.SkipConnection(
        Chain(inner(j), Dense(w.K2[j, :, :], w.b2[j, :], tanh)), (F, Y) -> Y + F) for j in 1:depth])
    return Chain([Flux.SkipConnection(
        Chain(inner(j), Dense(w.K2[j, :, :], false)), (F, Y) -> Y + h * F) for j in 1:depth])
end

"|Y - C|_F^2 / (2 samples)."
fit_loss(Y, C) = sum((Y - C) .^ 2) / (2 * size(C, 2))

"theta(t) = Theta_0 + t Theta_1 + t^2 Theta_2, by Horner; the power of t is the first index."
at_time(t, Theta) = (layer(Theta, 3) * t + layer(Theta, 2)) * t + layer(Theta, 1)
layer(Theta::AbstractArray{<:Any, 3}, k) = Theta[k, :, :]
layer(Theta::AbstractMatrix, k) = Theta[k, :]

"f(t, Y) = K2(t) tanh(K1(t) Y + b(t)): the ODE whose forward Euler is `residual`."
flow_field(w) = function (t, Y)
    s = as_state(t, Y)
    K1, b, K2 = at_time(s, w.Theta_K1), at_time(s, w.Theta_b), at_time(s, w.Theta_K2)
    return K2 * tanh.(K1 * Y .+ b)
end

"Y(1) by `n_steps` steps of a scheme."
flow(step, w, n_steps) = advance(step, flow_field(w), w.Y0, 0.0, 1.0 / n_steps, n_steps)

"Y(1), and the gradient of the loss in FLOW_WEIGHTS as one vector, through the steps in reverse."
function flow_gradient(step, inputs, n_steps)
    w, C = choose(inputs, FLOW_WEIGHTS), inputs["C"]
    g, = Zygote.gradient(w -> fit_loss(flow(step, w, n_steps), C), w)
    return flow(step, w, n_steps), reduce(vcat, row_major.(values(g)))
end

"""
Optimise-then-discretise: the adjoint ODE A' = -(df/dY)^T A, discretised by Euler running from t = 1
to 0, evaluated at (t_{j+1}, Y_{j+1}), where the discrete adjoint has (t_j, Y_j).
"""
function adjoint_gradient(inputs, n_steps)
    w, h = choose(inputs, FLOW_WEIGHTS), 1.0 / n_steps
    states = integrate(forward_euler, flow_field(w), w.Y0, uniform_times(0.0, 1.0, n_steps))
    A = (states[end] - inputs["C"]) / size(inputs["C"], 2)
    totals = map(zero, Base.front(values(w)))
    s = as_state(h, A)
    for j in n_steps:-1:1
        _, back = Zygote.pullback(states[j + 1], Base.front(values(w))) do Y, (Theta_K1, Theta_b, Theta_K2)
            flow_field((; Theta_K1, Theta_b, Theta_K2))(j * h, Y)
        end
        of_Y, of_weights = back(A)
        totals = map((total, part) -> total + s * part, totals, of_weights)
        A = A + s * of_Y
    end
    return reduce(vcat, row_major.((totals..., A)))
end

"Outputs, losses, gradients by reverse and forward mode, Taylor remainders."
function networks(inputs, options)
    found = Dict{String, Any}()
    C = inputs["C"]
    for (name, names) in pairs(ARCHITECTURES)
        w = choose(inputs, names)
        d = NamedTuple{names}(Tuple(inputs["d$key"] for key in names))
        objective(w) = fit_loss(network(name, w)(w.Y0), C)
        g, = Zygote.gradient(objective, w)
        value = objective(w)
        along(h) = objective(map((x, dx) -> x + h * dx, w, d))
        dot = sum(sum(g[key] .* d[key]) for key in names)
        found["output/$name"] = network(name, w)(w.Y0)
        found["loss/$name"] = value
        for key in names
            found["gradient/$name/$key"] = g[key]
        end
        found["gradient/$name/forward"] = ForwardDiff.derivative(along, zero(value))
        found["gradient/$name/dot"] = dot
        found["taylor/$name"] = [abs(along(h) - value - h * dot) for h in inputs["taylor_h"]]
    end
    return found
end

"Numbers of Euler steps: n_min, 2 n_min, ... up to n_max."
function euler_levels(options)
    found = [options["n_min"]]
    while 2 * found[end] <= options["n_max"]
        push!(found, 2 * found[end])
    end
    return found
end

"Forward Euler against the flow: outputs and gradients in two ways, and run backward."
function refinement(inputs, options)
    Y, g = flow_gradient(rk4, inputs, options["n_reference"])
    w = choose(inputs, FLOW_WEIGHTS)
    runs = map(euler_levels(options)) do n
        Y_n, g_n = flow_gradient(forward_euler, inputs, n)
        back = advance(forward_euler, flow_field(w), Y_n, 1.0, -1.0 / n, n)
        (; Y = Y_n, g = g_n, adjoint = adjoint_gradient(inputs, n), back)
    end
    errors = (output = [relative(run.Y, Y) for run in runs],
              gradient = [relative(run.g, g) for run in runs],
              adjoint = [relative(run.adjoint, g) for run in runs],
              negative_step = [relative(run.back, inputs["Y0"]) for run in runs])
    found = Dict{String, Any}("output/flow" => Y, "gradient/flow" => g,
                              "output/euler" => by_run(run.Y for run in runs),
                              "gradient/euler" => by_run(run.g for run in runs),
                              "gradient/euler/adjoint" => by_run(run.adjoint for run in runs))
    for (name, values) in pairs(errors)
        found["error/$name"] = values
        found["order/$name"] = log2(values[end - 1] / values[end])
    end
    return found
end

"Linear growth per step and the nonlinear energy, by kind of K and step size."
function stability(inputs, options)
    K, hw, Y0 = inputs["K_stability"], inputs["hw"], inputs["Y0"]
    one_matrix = Matrix{eltype(K)}(I, size(K, 2), size(K, 2))
    found = Dict{String, Any}()
    for (name, step) in (("forward_euler", forward_euler), ("rk4", rk4))
        # A linear step applied to the identity is its amplification matrix.
        found["growth/$name"] = [maximum(abs, eigvals(step((t, Y) -> K[k, :, :] * Y, 0.0, one_matrix, h)))
                                 for k in axes(K, 1), h in hw]
        found["energy/$name"] = [
            begin
                Y = advance(step, (t, Y) -> tanh.(K[k, :, :] * Y), Y0, 0.0, h, options["n_energy_steps"])
                sum(log_cosh, K[k, :, :] * Y) / sum(log_cosh, K[k, :, :] * Y0)
            end
            for k in axes(K, 1), h in hw[1:N_ENERGY]]
    end
    return found
end

"Each block of `residual`, last first, inverted by X <- Y - h K2 tanh(K1 X + b1)."
function inverses(inputs, options)
    K1, b1, K2 = inputs["K1"], inputs["b1"], inputs["K2"]
    h = as_state(1 / options["n_layers"], K1)
    w = choose(inputs, ARCHITECTURES.residual)
    Y = network(:residual, w)(w.Y0)
    for j in options["n_layers"]:-1:1
        X = Y
        for _ in 1:options["n_fixed_point"]
            X = Y - h * (K2[j, :, :] * tanh.(K1[j, :, :] * X .+ b1[j, :]))
        end
        Y = X
    end
    bound = maximum(norm(K1[j, :, :]) * norm(K2[j, :, :]) for j in axes(K1, 1))
    return Dict{String, Any}("inverse/fixed_point" => Y, "inverse/contraction" => h * bound,
                             "inverse/fixed_point/error" => relative(Y, inputs["Y0"]))
end

function propagation_tasks(inputs, options)
    w, n = choose(inputs, ARCHITECTURES.residual), euler_levels(options)[end]
    return Dict{String, Function}(
        "forward/residual" => () -> network(:residual, w)(w.Y0),
        "gradient/residual" => () ->
            Zygote.gradient(w -> fit_loss(network(:residual, w)(w.Y0), inputs["C"]), w),
        "gradient/euler" => () -> flow_gradient(forward_euler, inputs, n),
        "gradient/euler/adjoint" => () -> adjoint_gradient(inputs, n),
        "inverse/fixed_point" => () -> inverses(inputs, options),
    )
end

STUDIES["propagation"] = StudyAnswer(
    ["networks" => networks, "refinement" => refinement, "stability" => stability,
     "inverses" => inverses],
    propagation_tasks,
)

end
