# The residual network of the classification study, its classifier and their derivatives. Part of
# classification.jl; twin of engines/torch/resnet_classifier.py.

"max(y, 0) with a parabola for |y| <= eta, once continuously differentiable."
smooth_relu(y) = abs(y) <= ETA ? y * y / (4 * ETA) + y / 2 + ETA / 4 : max(y, zero(y))

"""
Y_{j+1} = P_j Y_j + h sigma(K_j Y_j + b_j) as a Flux chain, P_j = I where the width stays, else 0.
`theta` = [vec(K_0); ...; vec(b)].
"""
function chain(theta, shapes, h, sigma)
    return Chain(map(places(shapes)) do (rows, columns, weights, biases)
        layer = Dense(reshape(theta[weights], rows, columns), theta[biases], sigma)
        rows == columns ? Flux.SkipConnection(layer, (F, Y) -> Y + h * F) : Chain(layer, F -> h * F)
    end)
end

"Where the weights and biases of each layer stand in theta."
function places(shapes)
    ends = cumsum(a * b for (a, b) in shapes)
    bias_ends = ends[end] .+ cumsum(first.(shapes))
    return [(a, b, (ends[j] - a * b + 1):ends[j], (bias_ends[j] - a + 1):bias_ends[j])
            for (j, (a, b)) in enumerate(shapes)]
end
ChainRulesCore.@non_differentiable places(::Any)

"The 8-wide, 16-layer network of the study: 8 x samples."
resnet(theta, Y) = chain(theta, RESNET, eltype(Y)(STEP), sin)(Y)

"x -> theta, W (5 x 9)."
unpack(x) = x[1:THETA], reshape(x[(THETA + 1):end], CLASSES, WIDTH + 1)
join_weights(theta, W) = [theta; vec(W)]

with_ones(Z) = vcat(Z, ones_like(Z))
ones_like(Z) = ones(eltype(Z), 1, size(Z, 2))

"S = W [Y_N; 1]: 5 x samples."
function scores(x, Y)
    theta, W = unpack(x)
    return W * with_ones(resnet(theta, Y))
end

"E(S, C) = 1/n (-<C, S> + sum_i log sum_k exp S_ki), one-hot C."
softmax_loss(S, C) = (sum(Flux.logsumexp(S; dims = 1)) - sum(C .* S)) / size(S, 2)

"E(W Y_N + mu, C) + lambda_theta/2 |theta|^2 + lambda_W/2 |W|^2."
function loss(x, Y, C)
    theta, W = unpack(x)
    T = eltype(Y)
    return softmax_loss(scores(x, Y), C) + T(LAMBDA_THETA) / 2 * sum(abs2, theta) +
           T(LAMBDA_W) / 2 * sum(abs2, W)
end

"The regularisation's diagonal."
decay(x, T) = [fill(T(LAMBDA_THETA), THETA); fill(T(LAMBDA_W), length(x) - THETA)]

"E''(S) V, column by column (diag(p) - p p^T) v / n."
function softmax_curvature(S, V)
    P = Flux.softmax(S)
    PV = P .* V
    return (PV .- P .* sum(PV; dims = 1)) / size(S, 2)
end

"f(x), v -> J v by ForwardDiff, and u -> J^T u by Zygote."
function tangent_maps(f, x)
    y, back = Zygote.pullback(f, x)
    J(v) = ForwardDiff.derivative(t -> f(x + t * v), zero(eltype(x)))
    return y, J, u -> back(u)[1]
end

"Loss, gradient, and v -> (J^T E'' J + lambda) v with J = dS/dx."
function linearise(x, Y, C)
    S, J, JT = tangent_maps(x -> scores(x, Y), x)
    lambda = decay(x, eltype(Y))
    value = softmax_loss(S, C) + sum(lambda .* x .* x) / 2
    gradient = JT((Flux.softmax(S) - C) / size(S, 2)) + lambda .* x
    return value, gradient, v -> JT(softmax_curvature(S, J(v))) + lambda .* v
end
