# Case 1: round trips of two networks. Twin of engines/torch/reversibility.py, _reversible_nets.py
# and _reversibility_side.py.
#
# Weights K are d x d x nodes, b are d x nodes; a further axis is the seed (or the trained network).

module Reversibility

using LinearAlgebra
using DifferentialEquations: ODEProblem, solve
using Flux: Flux
using ForwardDiff: ForwardDiff
using OrdinaryDiffEqLowOrderRK: DP5, RK4
using Statistics: mean, median
using Zygote: Zygote

using ..NumDLBridge: STUDIES, StudyAnswer, advance, as_state, integrate, library_steps, log_cosh, rk4,
                     scalar, symplectic_euler, verlet

const RK4_STEPS = (16, 32, 64)
const LINEAR_STEPS = (25, 50, 100, 200)
const DRIFT_STEPS, DRIFT_END = (0.5, 0.25, 0.125), 64.0
const ROUNDOFF_STEPS = 1000
const TRAINED_HORIZON = 4.0
const PRECISIONS = ("float64" => Float64, "float32" => Float32, "float16" => Float16)

include("reversible_nets.jl")

# -- the reference case: first seed, one amplitude and horizon, a few points ----------------------

struct Reference{W, D, H, M, V}
    weights::W
    directions::D
    heads::H
    Y0::M
    C::V
    T::Float64
end

function Reference(inputs, options, points)
    a = as_state(options["reference_amplitude"], inputs["Y0"])
    nets = ("rk4", "verlet")
    return Reference(
        Dict(net => (a * inputs["K_$net"][:, :, :, 1], a * inputs["b_$net"][:, :, 1]) for net in nets),
        Dict(net => (inputs["dK_$net"], inputs["db_$net"]) for net in nets),
        Dict(net => (inputs["W_$net"], scalar(inputs["mu"])) for net in nets),
        inputs["Y0"][:, 1:points], inputs["C"][1:points], Float64(options["reference_horizon"]))
end

"Nodes' spacing of the ResNet, step size of the Verlet network."
spacing(case) = as_state(case.T / spacings(case.weights["rk4"][1]), case.Y0)
step_size(case) = as_state(case.T / size(case.weights["verlet"][1], 3), case.Y0)

"Y (4 x n), or Y over Z (2 x n)."
function forward(case, net, K, b)
    net == "rk4" && return rk4_forward(K, b, padded(case.Y0), spacing(case), spacings(K))
    return vcat(verlet_forward(K, b, step_size(case), case.Y0[1:1, :], case.Y0[2:2, :])...)
end

function backward(case, net, Y)
    K, b = case.weights[net]
    net == "rk4" && return rk4_backward(K, b, Y, spacing(case), spacings(K))
    return vcat(verlet_backward(K, b, step_size(case), Y[1:1, :], Y[2:2, :])...)
end

loss_of(case, net, Y) = logistic_loss(case.heads[net]..., Y, case.C)
loss(case, net, K, b) = loss_of(case, net, forward(case, net, K, b))

"The loss and its derivatives by K and b: Zygote, states stored."
gradient(case, net) = Zygote.withgradient((K, b) -> loss(case, net, K, b), case.weights[net]...)

"The derivatives by K and b from the output alone, states recovered backward."
function recomputed(case, net, Y)
    K, b = case.weights[net]
    seed, = Zygote.gradient(Y -> loss_of(case, net, Y), Y)
    return net == "rk4" ? recomputed_rk4(K, b, spacing(case), Y, seed) :
           recomputed_verlet(K, b, step_size(case), Y, seed)
end

"States, round trips, gradients and recomputed gradients of the reference case."
function reference(inputs, options)
    case = Reference(inputs, options, options["sample"])
    found = Dict{String, Any}()
    for net in ("rk4", "verlet")
        K, b = case.weights[net]
        dK, db = case.directions[net]
        Y = forward(case, net, K, b)
        found["solution/$net"], found["inverse/$net"] = Y, backward(case, net, Y)
        value, (by_K, by_b) = gradient(case, net)
        found["loss/$net"] = value
        found["gradient/$net/K"], found["gradient/$net/b"] = by_K, by_b
        found["gradient/$net/directional"] =
            ForwardDiff.derivative(t -> loss(case, net, K + t * dK, b + t * db), zero(value))
        found["gradient/$net/K/recomputed"], by_b = recomputed(case, net, Y)
        net == "verlet" && (found["gradient/verlet/b/recomputed"] = by_b)
    end
    return merge!(found, library_round_trips(case, options))
end

"The same ODE there and back by OrdinaryDiffEq: its RK4 with fixed steps, its DP5 adaptively."
function library_round_trips(case, options)
    K, b = case.weights["rk4"]
    tau, T = spacing(case), as_state(case.T, case.Y0)
    f(Y, _, t) = layer(at_node(K, t / tau), at_node(b, t / tau), Y)
    X, n = padded(case.Y0), spacings(K)
    Y = library_steps(last -> ODEProblem(f, X, (zero(T), last)), RK4(), tau, n)
    back = library_steps(last -> ODEProblem(f, Y, (T, T + last)), RK4(), -tau, n)
    tolerance = options["dtype"] == "float64" ? 1e-9 : 1e-5
    adaptive(X, from, to) = solve(ODEProblem(f, X, (from, to)), DP5(); reltol = tolerance,
                                  abstol = tolerance, save_everystep = false).u[end]
    return Dict{String, Any}("inverse/rk4/ordinarydiffeq" => back,
                             "inverse/dopri5" => adaptive(adaptive(X, zero(T), T), T, zero(T)))
end

# -- all seeds, amplitudes and horizons -----------------------------------------------------------

"|found - X|_F / |X|_F in double precision."
relative_error(found, X) = norm(Float64.(found) - Float64.(X)) / norm(Float64.(X))

"`f(K, b, T)` for each amplitude, horizon and seed, weights in precision P."
function over_networks(f, inputs, net, amplitudes, horizons, ::Type{P}) where {P}
    K, b = P.(inputs["K_$net"]), P.(inputs["b_$net"])
    return [f(P(a) * K[:, :, :, s], P(a) * b[:, :, s], P(T))
            for a in amplitudes, T in horizons, s in axes(K, 4)]
end

"Errors of the recovered input, and norms of its padding, amplitudes x horizons x seeds."
function rk4_round_trip(inputs, amplitudes, horizons, steps, ::Type{P}) where {P}
    X = padded(P.(inputs["Y0"]))
    both = over_networks(inputs, "rk4", amplitudes, horizons, P) do K, b, T
        tau = T / spacings(K)
        found = rk4_backward(K, b, rk4_forward(K, b, X, tau, steps), tau, steps)
        relative_error(found, X), norm(Float64.(found[3:end, :])) / norm(Float64.(X))
    end
    return first.(both), last.(both)
end

function verlet_round_trip(inputs, options, ::Type{P}) where {P}
    X = P.(inputs["Y0"])
    return over_networks(inputs, "verlet", options["amplitudes"], options["horizons"], P) do K, b, T
        h = T / size(K, 3)
        found = verlet_backward(K, b, h, verlet_forward(K, b, h, X[1:1, :], X[2:2, :])...)
        relative_error(vcat(found...), X)
    end
end

over_seeds(statistic, errors) = dropdims(mapslices(statistic, errors; dims = 3); dims = 3)

function rk4_round_trips(inputs, options)
    found = Dict{String, Any}()
    for steps in RK4_STEPS
        horizons = steps == RK4_STEPS[1] ? options["horizons"] : options["refined"]
        errors, padding = rk4_round_trip(inputs, options["amplitudes"], horizons, steps, Float64)
        found["roundtrip/rk4/$steps/float64"] = over_seeds(median, errors)
        steps == RK4_STEPS[1] && (found["padding/rk4"] = over_seeds(median, padding))
    end
    errors, _ = rk4_round_trip(inputs, options["amplitudes"], options["horizons"], RK4_STEPS[1], Float32)
    found["roundtrip/rk4/$(RK4_STEPS[1])/float32"] = over_seeds(median, errors)
    return found
end

function verlet_round_trips(inputs, options)
    found = Dict{String, Any}()
    for (name, P) in PRECISIONS
        errors = verlet_round_trip(inputs, options, P)
        found["roundtrip/verlet/$name"] = over_seeds(median, errors)
        found["roundtrip/verlet/$name/max"] = over_seeds(maximum, errors)
    end
    return found
end

# -- trained networks -----------------------------------------------------------------------------

function trained(inputs, options)
    found = Dict{String, Any}()
    options["trained"] || return found
    C, data = inputs["trained/C"], inputs["trained/Y0"]
    for net in ("rk4", "verlet")
        networks = axes(inputs["trained/mu_$net"], 1)
        run(P, i) = there_and_back(net, P.(inputs["trained/K_$net"][:, :, :, i]),
                                   P.(inputs["trained/b_$net"][:, :, i]), P.(data))
        for (precision, P) in PRECISIONS[1:2]
            X = net == "rk4" ? padded(P.(data)) : P.(data)
            found["trained/roundtrip/$net/$precision"] =
                [relative_error(run(P, i)[2], X) for i in networks]
        end
        W, mu = inputs["trained/W_$net"], inputs["trained/mu_$net"]
        outputs = [run(eltype(data), i)[1] for i in networks]
        found["trained/loss/$net"] = [logistic_loss(W[:, :, i], mu[i], outputs[i], C) for i in networks]
        found["trained/accuracy/$net"] =
            [mean((vec(W[:, :, i] * outputs[i]) .+ mu[i] .> 0) .== (C .> 0.5)) for i in networks]
    end
    return found
end

"Output and recovered input of one trained network."
function there_and_back(net, K, b, Y0)
    T = as_state(TRAINED_HORIZON, Y0)
    if net == "rk4"
        tau = T / spacings(K)
        Y = rk4_forward(K, b, padded(Y0), tau, spacings(K))
        return Y, rk4_backward(K, b, Y, tau, spacings(K))
    end
    h = T / size(K, 3)
    pair = verlet_forward(K, b, h, Y0[1:1, :], Y0[2:2, :])
    return vcat(pair...), vcat(verlet_backward(K, b, h, pair...)...)
end

include("reversibility_side.jl")

"The reference networks on all points."
function tasks(inputs, options)
    case = Reference(inputs, options, options["points"])
    named = Dict{String, Function}()
    for net in ("rk4", "verlet")
        Y = forward(case, net, case.weights[net]...)
        named["forward/$net"] = () -> forward(case, net, case.weights[net]...)
        named["inverse/$net"] = () -> backward(case, net, Y)
        named["gradient/$net"] = () -> gradient(case, net)
        net == "verlet" && (named["gradient/verlet/recomputed"] = () -> recomputed(case, net, Y))
    end
    return named
end

STUDIES["reversibility"] = StudyAnswer(
    ["reference" => reference, "rk4 round trips" => rk4_round_trips,
     "verlet round trips" => verlet_round_trips, "trained" => trained, "linear" => linear,
     "structure" => structure], tasks)

end
