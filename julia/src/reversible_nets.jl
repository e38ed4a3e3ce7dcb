# Two networks that can be run backward, and their gradients from recomputed states. Part of
# reversibility.jl; twin of engines/torch/_reversible_nets.py.

"tanh(K Y + b)."
layer(K, b, Y) = tanh.(K * Y .+ b)

"Piecewise linear interpolation: W at \"time\" s, in units of the nodes' spacing."
function at_node(W, s)
    last_one = size(W, ndims(W)) - 2
    j = min(max(floor(Int, s), 0), last_one)
    before, after = selectdim_copy(W, j + 1), selectdim_copy(W, j + 2)
    return before + as_state(s - j, W) * (after - before)
end
selectdim_copy(W::AbstractArray{<:Any, 3}, j) = W[:, :, j]
selectdim_copy(W::AbstractMatrix, j) = W[:, j]

"dY/ds = tau tanh(K(s) Y + b(s)), s from 0 to nodes - 1: networks of all horizons step together."
resnet(K, b, tau) = (s, Y) -> tau * layer(at_node(K, s), at_node(b, s), Y)

spacings(K) = size(K, 3) - 1

"RK4 from Y(0) to Y(T)."
rk4_forward(K, b, Y, tau, steps) = advance(rk4, resnet(K, b, tau), Y, 0.0, spacings(K) / steps, steps)

"RK4 from Y(T) back to 0: the same nodes and midpoints in reverse order."
rk4_backward(K, b, Y, tau, steps) =
    advance(rk4, resnet(K, b, tau), Y, float(spacings(K)), -spacings(K) / steps, steps)

"The slide's two lines: Y+ = Y + h tanh(K Z + b), Z+ = Z - h tanh(K^T Y+ + b)."
function verlet_layer(K, b, h, Y, Z)
    Y = Y + h * layer(K, b, Z)
    return Y, Z - h * layer(transpose(K), b, Y)
end

"The two lines in reverse order, signs changed."
function undo_verlet_layer(K, b, h, Y, Z)
    Z = Z + h * layer(transpose(K), b, Y)
    return Y - h * layer(K, b, Z), Z
end

function verlet_forward(K, b, h, Y, Z)
    for j in axes(K, 3)
        Y, Z = verlet_layer(K[:, :, j], b[:, j], h, Y, Z)
    end
    return Y, Z
end

function verlet_backward(K, b, h, Y, Z)
    for j in reverse(axes(K, 3))
        Y, Z = undo_verlet_layer(K[:, :, j], b[:, j], h, Y, Z)
    end
    return Y, Z
end

"Mean of log(1 + exp(s)) - C s over the samples, s = W Y + mu, C in {0, 1}."
function logistic_loss(W, mu, Y, C)
    s = vec(W * Y) .+ mu
    return mean(Flux.softplus.(s) .- C .* s)
end

"The data in rows 1-2, zeros in rows 3-4."
padded(Y0) = vcat(Y0, zero(Y0))

"""
Derivatives by K (d x d x nodes) and b (d x nodes) from the final `state` (2 x n, Y over Z) and the
loss's derivative there, `seed`: each layer is inverted exactly, then its vector-Jacobian product taken.
"""
function recomputed_verlet(K, b, h, state, seed)
    Y, Z, seed = state[1:1, :], state[2:2, :], (seed[1:1, :], seed[2:2, :])
    by_K, by_b = similar(K), similar(b)
    for j in reverse(axes(K, 3))
        Y, Z = undo_verlet_layer(K[:, :, j], b[:, j], h, Y, Z)
        _, pull = Zygote.pullback((K, b, Y, Z) -> verlet_layer(K, b, h, Y, Z), K[:, :, j], b[:, j], Y, Z)
        part_K, part_b, seed... = pull(seed)
        by_K[:, :, j], by_b[:, j] = part_K, part_b
        seed = Tuple(seed)
    end
    return by_K, by_b
end

"States \"recovered\" by steps of -h, which is no inverse; the adjoint of each step is exact there."
function recomputed_rk4(K, b, tau, Y, seed)
    one_step(K, b, Y) = rk4(resnet(K, b, tau), 0.0, Y, 1.0)
    by_K, by_b = zero(K), zero(b)
    for j in spacings(K):-1:1
        pair_K, pair_b = K[:, :, j:(j + 1)], b[:, j:(j + 1)]
        Y = rk4(resnet(pair_K, pair_b, tau), 1.0, Y, -1.0)
        _, pull = Zygote.pullback(one_step, pair_K, pair_b, Y)
        part_K, part_b, seed = pull(seed)
        by_K[:, :, j:(j + 1)] += part_K
        by_b[:, j:(j + 1)] += part_b
    end
    return by_K, by_b
end
