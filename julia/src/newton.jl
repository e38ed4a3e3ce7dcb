# Newton's method in two sizes: Newton-CG, and softmax regression by full Hessians. Part of
# classification.jl; twin of engines/torch/newton.py.

"A x = b for a positive definite A, from x = 0, until the residual is `tolerance` times b."
function conjugate_gradients(A, b; iterations = 10, tolerance = 1e-2)
    x, r, p = zero(b), copy(b), copy(b)
    rho = dot(r, r)
    stop = oftype(rho, tolerance^2) * rho
    for _ in 1:iterations
        rho <= stop && break
        q = A(p)
        alpha = rho / dot(p, q)
        x, r = x + alpha * p, r - alpha * q
        before, rho = rho, dot(r, r)
        p = r + rho / before * p
    end
    return x
end

"Newton-CG with Armijo backtracking: where it ended, and the loss at every iterate."
function newton_cg(linearise, value, x, iterations)
    mu, history = one(eltype(x)), eltype(x)[]
    for _ in 1:iterations
        f, g, hessian = linearise(x)
        push!(history, f)
        p = conjugate_gradients(hessian, -g)
        slope, step = dot(g, p), mu
        tried = 0
        while tried < HALVINGS && !(value(x + step * p) <= f + oftype(f, ARMIJO) * step * slope)
            step, tried = step / 2, tried + 1
        end
        tried == HALVINGS && break
        x = x + step * p
        mu = step == mu ? min(oftype(mu, 1.5) * mu, one(mu)) : step
    end
    push!(history, value(x))
    return x, history
end

"The W that minimises E(W [Z; 1], C) + decay/2 |W|^2, by Newton's method with the Hessian formed."
function softmax_regression(Z, C, decay, W = nothing; iterations = 100)
    T = eltype(Z)
    Z, lambda = with_ones(Z), T(decay)
    classes, (d, n) = size(C, 1), size(Z)
    W === nothing && (W = zeros(T, classes, d))
    enough = 1e-13 * eps(T) / eps(Float64)
    value(W) = softmax_loss(W * Z, C) + lambda / 2 * sum(abs2, W)
    f = value(W)
    for _ in 1:iterations
        P = Flux.softmax(W * Z)
        G = (P - C) * Z' / n + lambda * W
        norm(G) <= enough && break
        # W flattened by rows, class after class, as its Hessian is.
        step = permutedims(reshape(-((softmax_hessian(Z, P) + lambda * I) \ vec(permutedims(G))), d, classes))
        mu, slope, tried = one(T), sum(G .* step), 0
        new = value(W + mu * step)
        while !(new <= f + T(ARMIJO) * mu * slope)
            tried += 1
            # Only rounding keeps the loss from falling: the last full step is still the best.
            tried == HALVINGS && return W + step
            mu /= 2
            new = value(W + mu * step)
        end
        W, f = W + mu * step, new
    end
    return W
end

"1/n sum_i (diag(p_i) - p_i p_i^T) kron z_i z_i^T, for W flattened by rows."
function softmax_hessian(Z, P)
    classes, (d, n) = size(P, 1), size(Z)
    H = zeros(eltype(Z), classes * d, classes * d)
    rows(k) = ((k - 1) * d + 1):(k * d)
    for k in 1:classes, j in 1:k
        weight = P[k:k, :] .* ((k == j) .- P[j:j, :])
        H[rows(k), rows(j)] = H[rows(j), rows(k)] = (Z .* weight) * Z' / n
    end
    return H
end
