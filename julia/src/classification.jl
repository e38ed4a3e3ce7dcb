# Supervised learning: Newton-CG, variable projection, softmax regressions. Twin of
# engines/torch/classification.py, newton.py and resnet_classifier.py.

module Classification

using LinearAlgebra
using ChainRulesCore: ChainRulesCore
using Flux: Chain, Dense, Flux
using ForwardDiff: ForwardDiff
using Statistics: mean
using Zygote: Zygote

using ..NumDLBridge: STUDIES, StudyAnswer, scalar

const CLASSES, WIDTH, LAYERS, T_FINAL = 5, 8, 16, 4.0
const STEP = T_FINAL / LAYERS
const LAMBDA_THETA, LAMBDA_W, LAMBDA_ELM = 1e-5, 1e-3, 1e-3
const INNER_AS_PUBLISHED = 5
const ETA = 0.1
const ARMIJO, HALVINGS = 1e-4, 20
const RESNET = [(WIDTH, 2); fill((WIDTH, WIDTH), LAYERS - 1)]
const THETA = sum(a * b for (a, b) in RESNET) + sum(first, RESNET)
const RELU = [(5, 2), (5, 5), (5, 5), (5, 5), (10, 5), (3, 10)]
const ACTIVATIONS = ("sin" => sin, "tanh" => tanh, "relu" => Flux.relu)

include("resnet_classifier.jl")
include("newton.jl")

# -- variable projection --------------------------------------------------------------------------

"VarPro's reduced problem phi(theta) = min_W loss; inner solves start from the last W."
mutable struct Reduced{M}
    Y::M
    C::M
    W::Union{Nothing, M}
end

"x = [theta; W(theta)]."
function solve_inner!(reduced, theta)
    reduced.W = softmax_regression(resnet(theta, reduced.Y), reduced.C, LAMBDA_W, reduced.W)
    return join_weights(theta, reduced.W)
end

reduced_value(reduced, theta) = loss(solve_inner!(reduced, theta), reduced.Y, reduced.C)

"phi, its gradient (the partial one, W fixed), and the theta-block of Gauss-Newton."
function reduced_linearise(reduced, theta)
    T = eltype(reduced.Y)
    W = unpack(solve_inner!(reduced, theta))[2]
    S, J, JT = tangent_maps(t -> W * with_ones(resnet(t, reduced.Y)), theta)
    value = softmax_loss(S, reduced.C) + T(LAMBDA_THETA) / 2 * dot(theta, theta) +
            T(LAMBDA_W) / 2 * sum(abs2, W)
    gradient = JT((Flux.softmax(S) - reduced.C) / size(S, 2)) + T(LAMBDA_THETA) * theta
    return value, gradient, v -> JT(softmax_curvature(S, J(v))) + T(LAMBDA_THETA) * v
end

"The course code's reduced loss and gradient: inner problem unsolved, no lambda_W."
function as_published(theta, Y, C)
    T = eltype(Y)
    Z = with_ones(resnet(theta, Y))
    shape = (size(Z, 1), size(C, 1))  # of W flattened by rows
    matrix(w) = permutedims(reshape(w, shape))
    function inner(w)
        S, J, JT = tangent_maps(w -> matrix(w) * Z, w)
        by_w = JT((Flux.softmax(S) - C) / size(S, 2)) + T(LAMBDA_W) * w
        return softmax_loss(S, C) + T(LAMBDA_W) / 2 * dot(w, w), by_w,
               v -> JT(softmax_curvature(S, J(v))) + T(LAMBDA_W) * v
    end
    w, _ = newton_cg(inner, w -> inner(w)[1], zeros(T, prod(shape)), INNER_AS_PUBLISHED)
    W = matrix(w)
    outer(theta) = softmax_loss(W * with_ones(resnet(theta, Y)), C) + T(LAMBDA_THETA) / 2 * sum(abs2, theta)
    value, (gradient,) = Zygote.withgradient(outer, theta)
    return value, gradient
end

# -- the answers ----------------------------------------------------------------------------------

"E0 and E1 relative to the value, for the values at x + h v, norms over the rest."
function taylor(values, value, slope, steps)
    size = norm(value)
    return ([norm(at - value) / size for at in values],
            [norm(at - value - h * slope) / size for (at, h) in zip(values, steps)])
end

"Values and products with Jacobians at both weights, on the checked points."
function derivatives(inputs, options)
    u, v = inputs["adjoint"], inputs["direction"]
    few = 1:size(u, 2)
    Y, C = inputs["Y"][:, few], inputs["C"][:, few]
    columns = map(eachcol(inputs["weights"])) do column
        x = collect(column)
        theta = unpack(x)[1]
        _, _, hessian = linearise(x, Y, C)
        features, J, JT = tangent_maps(t -> resnet(t, Y), theta)
        tangent, cotangent = J(v[1:THETA]), JT(u)
        product = sum(u .* tangent)
        Dict("features" => features, "loss" => loss(x, Y, C),
             "gradient" => Zygote.gradient(x -> loss(x, Y, C), x)[1],
             "gradient/forward" => ForwardDiff.gradient(x -> loss(x, Y, C), x),
             "gauss-newton" => hessian(v), "tangent" => tangent, "cotangent" => cotangent,
             "adjoint test" => abs(product - dot(cotangent, v[1:THETA])) / abs(product))
    end
    found = Dict{String, Any}(name => along_last(column[name] for column in columns)
                              for name in keys(first(columns)))
    push!(found["adjoint test"], smooth_relu_products(inputs)[3])
    return found
end

along_last(values) = first(values) isa Number ? collect(values) : stack(collect(values))

"Y_N of the smooth-ReLU network, its derivative along the drawn direction, and the adjoint test."
function smooth_relu_products(inputs)
    network(theta, Y) = chain(theta, RELU, one(eltype(Y)), smooth_relu)(Y)
    x, Y, v, dY = (inputs["relu/$k"] for k in ("weights", "Y", "direction", "dY"))
    at(h) = network(x + h * v, Y + h * dY)
    tangent = ForwardDiff.derivative(at, zero(eltype(x)))
    value, back = Zygote.pullback(network, x, Y)
    by_x, by_Y = back(inputs["relu/adjoint"])
    product = sum(inputs["relu/adjoint"] .* tangent)
    return at, tangent, abs((product - dot(by_x, v) - sum(by_Y .* dY)) / product), value
end

"Taylor remainders."
function remainders(inputs, options)
    v, steps, x = inputs["direction"], inputs["steps"], inputs["weights"][:, 1]
    few = 1:size(inputs["adjoint"], 2)
    Y, C = inputs["Y"], inputs["C"]
    f(x) = loss(x, Y[:, few], C[:, few])
    slope = ForwardDiff.derivative(t -> f(x + t * v), zero(eltype(x)))
    found = Dict{String, Any}()
    function keep(name, (E0, E1))
        found["remainder/$name/E0"], found["remainder/$name/E1"] = E0, E1
    end
    keep("resnet", taylor([f(x + h * v) for h in steps], f(x), slope, steps))
    at, tangent, _, value = smooth_relu_products(inputs)
    keep("smooth relu", taylor([at(h) for h in steps], value, tangent, steps))

    theta, direction = x[1:THETA], v[1:THETA]
    reduced = Reduced(Y, C, nothing)
    f0, gradient, _ = reduced_linearise(reduced, theta)
    values = [reduced_value(reduced, theta + h * direction) for h in steps]
    found["remainder/varpro/E1"] = taylor(values, f0, dot(gradient, direction), steps)[2]
    f0, gradient = as_published(theta, Y, C)
    values = [as_published(theta + h * direction, Y, C)[1] for h in steps]
    found["remainder/varpro as published/E1"] = taylor(values, f0, dot(gradient, direction), steps)[2]
    return found
end

"Share of columns whose largest score is not the right class."
misclassified(S, C) = mean(argmax(s) != argmax(c) for (s, c) in zip(eachcol(S), eachcol(C)))

"Optimal W, its loss, and the errors on the training data and on `tests`."
function regression(Z, C, tests...)
    W = softmax_regression(Z, C, LAMBDA_ELM)
    value = softmax_loss(W * with_ones(Z), C) + eltype(Z)(LAMBDA_ELM) / 2 * sum(abs2, W)
    errors = [misclassified(W * with_ones(z), c) for (z, c) in ((Z, C), tests...)]
    return W, value, eltype(Z).(errors)
end

"Softmax regressions: linear, random features, ellipses."
function convex(inputs, options)
    Y, C, Y_test, C_test = (inputs[k] for k in ("Y", "C", "Y_test", "C_test"))
    found = Dict{String, Any}()
    found["linear/weights"], found["linear/loss"], found["linear/error"] =
        regression(Y, C, (Y_test, C_test))
    K, b = inputs["elm/K"], scalar(inputs["elm/b"])
    for (name, sigma) in ACTIVATIONS
        features(Y) = sigma.(K * Y .+ b)
        _, found["elm/$name/loss"], found["elm/$name/error"] =
            regression(features(Y), C, (features(Y_test), C_test))
    end
    Y, C = inputs["ellipses/Y"], inputs["ellipses/C"]
    square = Y[1:1, :] .^ 2 .+ (Y[2:2, :] ./ eltype(Y)(0.4)) .^ 2
    for (name, Z) in (("linear", Y), ("square", vcat(Y, square)))
        _, found["ellipses/$name/loss"], errors = regression(Z, C)
        found["ellipses/$name/error"] = errors[1]
    end
    return found
end

"Newton-CG on the coupled problem."
function coupled(inputs, options)
    Y, C, x = inputs["Y"], inputs["C"], inputs["weights"][:, 1]
    end_point, history = newton_cg(x -> linearise(x, Y, C), x -> loss(x, Y, C), x, options["iterations"])
    return histories("newton", end_point, history, inputs)
end

"Newton-CG on VarPro's reduced problem."
function varpro(inputs, options)
    Y, C, theta = inputs["Y"], inputs["C"], inputs["weights"][1:THETA, 1]
    reduced = Reduced(Y, C, nothing)
    start = solve_inner!(reduced, theta)
    end_point, history = newton_cg(t -> reduced_linearise(reduced, t), t -> reduced_value(reduced, t),
                                   theta, options["outer"])
    found = histories("varpro", solve_inner!(reduced, end_point), history, inputs)
    found["varpro/weights"] = unpack(start)[2]
    return found
end

function histories(name, x, history, inputs)
    errors = [misclassified(scores(x, inputs["Y$t"]), inputs["C$t"]) for t in ("", "_test")]
    return Dict{String, Any}("$name/first" => history[1:min(4, end)], "$name/history" => history,
                             "$name/error" => eltype(x).(errors))
end

"On all training points, at the start weights."
function tasks(inputs, options)
    Y, C, v, x = inputs["Y"], inputs["C"], inputs["direction"], inputs["weights"][:, 1]
    _, _, hessian = linearise(x, Y, C)
    return Dict{String, Function}(
        "forward" => () -> scores(x, Y),
        "gradient" => () -> Zygote.withgradient(x -> loss(x, Y, C), x),
        "gauss-newton matvec" => () -> hessian(v),
        "softmax regression" => () -> softmax_regression(resnet(x[1:THETA], Y), C, LAMBDA_W),
    )
end

STUDIES["classification"] = StudyAnswer(
    ["derivatives" => derivatives, "remainders" => remainders, "convex" => convex,
     "coupled" => coupled, "varpro" => varpro], tasks)

end
