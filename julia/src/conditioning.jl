# Conditioning of a single layer's Jacobian. Twin of engines/torch/conditioning.py.

module Conditioning

using LinearAlgebra
using ForwardDiff: ForwardDiff
using Statistics: median, quantile
using Zygote: Zygote

using ..NumDLBridge: STUDIES, StudyAnswer, row_major

const WIDTHS = (8, 16, 32)
const QUANTILES = [0.05, 0.25, 0.5, 0.75, 0.95]
const EPS_HALF, EPS_SINGLE = 2.0^-10, 2.0^-23

"W tanh(K Y)."
layer(W, K, Y) = W * tanh.(K * Y)

"""
[J_W J_K] by the slide's Kronecker formulas, `order` = `vec` stacking columns, and by their twins for
rows, `order` = `row_major`.
"""
function kronecker_jacobian(W, K, Y, order)
    Z = tanh.(K * Y)
    (n, m), s = size(W), size(Y, 2)
    I_n, I_m, I_s = (Matrix{eltype(W)}(I, k, k) for k in (n, m, s))
    if order === vec
        slope = Diagonal(vec(1 .- Z .* Z))
        return [kron(Z', I_n) kron(I_s, W) * slope * kron(Y', I_m)]
    end
    slope = Diagonal(row_major(1 .- Z .* Z))
    return [kron(I_n, Z') kron(W, I_s) * slope * kron(I_m, Y')]
end

"[J_W J_K] by columns without forming Kronecker products."
function jacobian(W, K, Y)
    Z = tanh.(K * Y)
    slope = 1 .- Z .* Z
    (n, m), (d, s) = size(W), size(Y)
    J = zeros(eltype(W), n * s, n * m + m * d)
    # Row i + n (k - 1) is output i of sample k.
    for k in 1:s, b in 1:m, i in 1:n
        row = i + n * (k - 1)
        J[row, i+n*(b-1)] = Z[b, k]
        for c in 1:d
            J[row, n*m+b+m*(c-1)] = W[i, b] * slope[b, k] * Y[c, k]
        end
    end
    return J
end

"sigma_min / sigma_1 and sigma_1, in the precision of J."
function extremes(J)
    sigma = svdvals(J)
    return sigma[end] / sigma[1], sigma[1]
end

"-pinv(J) r by the SVD, all singular values kept."
function gauss_newton_step(J, r)
    U, sigma, V = svd(J)
    return -(V * ((U' * r) ./ sigma))
end

"The small problem in which the two orders of vec are told apart."
function vec_order(inputs, options)
    W, K, Y = inputs["vec/W"], inputs["vec/K"], inputs["vec/Y"]
    dW, dK = inputs["vec/dW"], inputs["vec/dK"]
    change = ForwardDiff.derivative(t -> layer(W + t * dW, K + t * dK, Y), zero(eltype(W)))
    found = Dict{String, Any}()
    for (name, order) in ("column" => vec, "row" => row_major)
        # Zygote differentiates one vector of residuals by the two matrices; rows of the results are
        # flattened by columns by Julia itself, so the other order permutes them.
        by_W, by_K = Zygote.jacobian((W, K) -> order(layer(W, K, Y)), W, K)
        found["jacobian/$name"] = kronecker_jacobian(W, K, Y, order)
        found["jacobian/$name/ad"] = [by_W[:, order(places(W))] by_K[:, order(places(K))]]
        found["product/$name"] = found["jacobian/$name"] * [order(dW); order(dK)]
        found["product/$name/ad"] = order(change)
    end
    columns, rows = found["jacobian/column"], found["jacobian/row"]
    found["wrong order/cond"] = extremes(rows)[1] / extremes(columns)[1] - 1
    mistaken = columns * [row_major(dW); row_major(dK)] - row_major(change)
    found["wrong order/product"] = norm(mistaken) / norm(change)
    return merge!(found, twins(inputs))
end

"Where each entry of A stands in vec(A)."
places(A) = reshape(1:length(A), size(A))

"The first network of width 8, two of its neurons ever nearer to one another."
function twins(inputs)
    W, Y = inputs["W/m=8"][:, :, 1], inputs["Y/m=8"][:, :, 1]
    rcond = [extremes(jacobian(W, K, Y))[1] for K in eachslice(inputs["twins/K"]; dims = 3)]
    return Dict{String, Any}("twins/rcond" => rcond, "twins/cond" => 1 ./ rcond)
end

"Singular values of every draw's Jacobian, in three precisions."
function spectra(inputs, m)
    W, K, Y = (inputs["$k/m=$m"] for k in "WKY")
    T = eltype(W)
    rows = map(axes(W, 3)) do draw
        J = jacobian(W[:, :, draw], K[:, :, draw], Y[:, :, draw])
        sigma = svdvals(J)
        tolerance = maximum(size(J)) * eps(T)
        G = size(J, 2) <= size(J, 1) ? J' * J : J * J'
        eigenvalues = eigvals(Symmetric(G))
        (; rcond=sigma[end] / sigma[1], sigma_1=sigma[1], single=extremes(Float32.(J))[1],
         half=extremes(T.(Float16.(J)))[1], rank=count(>(tolerance * sigma[1]), sigma),
         squared=eigenvalues[end] / abs(eigenvalues[1]),
         of_W=extremes(J[:, 1:m])[1], of_K=extremes(J[:, m+1:end])[1])
    end
    of(name) = [getproperty(row, name) for row in rows]
    rcond, single, half, rank = of(:rcond), of(:single), of(:half), of(:rank)
    cond = 1 ./ rcond
    return Dict{String, Any}(
        "rcond/m=$m" => rcond,
        "sigma_1/m=$m" => of(:sigma_1),
        "rcond/single/m=$m" => single,
        "rcond/half/m=$m" => half,
        "cond/m=$m" => quantile(cond, QUANTILES),
        "cond/m=$m/range" => [minimum(cond), maximum(cond)],
        "cond/single/m=$m" => quantile(1 ./ single, QUANTILES),
        "cond/half/m=$m" => quantile(1 ./ half, QUANTILES),
        # One over the median of the reciprocals, as in torch.
        "cond/blocks/m=$m" => [1 / median(of(:of_W)), 1 / median(of(:of_K))],
        "share/m=$m" => [count(>(1 / e), cond) / length(cond) for e in (EPS_HALF, EPS_SINGLE)],
        "rank/m=$m" => [minimum(rank), maximum(rank)],
        "gram/m=$m" => [median(of(:squared)), median(cond .^ 2)],
    )
end

"1/(2 s) ||R||_F^2."
loss(W, K, Y, C) = sum(abs2, layer(W, K, Y) - C) / (2 * size(Y, 2))

"Proofs, gradients and pseudo-inverses of the first draws."
function checked(inputs, m)
    C = inputs["C/m=$m"]
    rows = map(axes(C, 3)) do draw
        W, K, Y = (inputs["$k/m=$m"][:, :, draw] for k in "WKY")
        c = C[:, :, draw]
        J, r = jacobian(W, K, Y), vec(layer(W, K, Y) - c)
        rcond, sigma_1 = extremes(J)
        step = gauss_newton_step(J, r)
        error_of(other) = norm(other - step) / norm(step)
        by_W, by_K = Zygote.gradient((W, K) -> loss(W, K, Y, c), W, K)
        theta = [vec(W); vec(K)]
        unpacked(t) = (reshape(t[1:length(W)], size(W)), reshape(t[length(W)+1:end], size(K)))
        (; rcond, sigma_1, step, gradient=J' * r / size(Y, 2), reverse=[vec(by_W); vec(by_K)],
         forward=ForwardDiff.gradient(t -> loss(unpacked(t)..., Y, c), theta),
         single=error_of(gauss_newton_step(Float32.(J), Float32.(r))),
         half=error_of(gauss_newton_step(eltype(J).(Float16.(J)), r)))
    end
    of(name) = [getproperty(row, name) for row in rows]
    return Dict{String, Any}(
        "checked/rcond/m=$m" => of(:rcond),
        "checked/sigma_1/m=$m" => of(:sigma_1),
        "gradient/m=$m" => stack(of(:gradient)),
        "gradient/m=$m/reverse" => stack(of(:reverse)),
        "gradient/m=$m/forward" => stack(of(:forward)),
        "inverse/m=$m" => stack(of(:step)),
        "inverse/single/m=$m" => of(:single),
        "inverse/half/m=$m" => of(:half),
    )
end

function tasks(inputs, options)
    named = Dict{String, Function}()
    for m in (WIDTHS[1], WIDTHS[end])
        draws = 1:min(50, size(inputs["W/m=$m"], 3))
        networks = [Tuple(inputs["$k/m=$m"][:, :, draw] for k in "WKY") for draw in draws]
        jacobians = [jacobian(w...) for w in networks]
        named["jacobian/m=$m"] = () -> [jacobian(w...) for w in networks]
        named["svd/m=$m"] = () -> svdvals.(jacobians)
    end
    widest, C = WIDTHS[end], inputs["C/m=$(WIDTHS[end])"]
    few = [(Tuple(inputs["$k/m=$widest"][:, :, draw] for k in "WKY")..., C[:, :, draw])
           for draw in axes(C, 3)]
    named["gradient"] = () -> [Zygote.gradient((W, K) -> loss(W, K, Y, c), W, K) for (W, K, Y, c) in few]
    return named
end

STUDIES["conditioning"] = StudyAnswer(
    ["order of vec" => vec_order,
     ("spectra m=$m" => ((inputs, options) -> spectra(inputs, m)) for m in WIDTHS)...,
     ("checked m=$m" => ((inputs, options) -> checked(inputs, m)) for m in WIDTHS)...],
    tasks,
)

end
