# How the number of layers shapes the loss surface. Twin of engines/torch/landscape.py.

module Landscape

using LinearAlgebra
using ForwardDiff: ForwardDiff
using Zygote: Zygote

using ..NumDLBridge: STUDIES, StudyAnswer

const T_FINAL = 10.0
const TRUE_LAYERS = 200
const TRUE_THETA = (1.0, 1.0)
const UNSTABLE, STABLE = 5, 100
const OPTIMISED = (5, 10, 15, 20, 100, 200)
const SAMPLED = (5, 100, 200)
const BASIN = 0.15

"K(theta), circulant with zero row sums."
function layer_matrix(theta)
    t1, t2 = theta
    t0 = -t1 - t2
    return [t0 t1 t2; t2 t0 t1; t1 t2 t0]
end

"Y_N(theta) by n steps of Y + h tanh(K(theta) Y)."
function forward(theta, Y, n)
    K, h = layer_matrix(theta), eltype(Y)(T_FINAL / n)
    for _ in 1:n
        Y = Y .+ h .* tanh.(K * Y)
    end
    return Y
end

truth_for(Y0) = collect(eltype(Y0), TRUE_THETA)
target(Y0) = forward(truth_for(Y0), Y0, TRUE_LAYERS)

"Phi_n(theta) = 1/2 ||Y_n(theta) - C||_F^2."
loss(theta, Y0, C, n) = sum(abs2, forward(theta, Y0, n) .- C) / 2

"""
    surface(axis, Y0, C, n)

Phi_n on the grid, [i, j] at theta = (axis[i], axis[j]), in place and without allocation.
"""
function surface(axis, Y0, C, n)
    m, Y = length(axis), similar(Y0)
    Phi = similar(Y0, m, m)
    for j in 1:m, i in 1:m
        Phi[i, j] = loss_in_place!(Y, axis[i], axis[j], Y0, C, n)
    end
    return Phi
end

function loss_in_place!(Y, t1, t2, Y0, C, n)
    h = eltype(Y)(T_FINAL / n)
    t0 = -t1 - t2
    copyto!(Y, Y0)
    for _ in 1:n
        @inbounds for s in axes(Y, 2)
            a, b, c = Y[1, s], Y[2, s], Y[3, s]
            Y[1, s] = a + h * tanh(t0 * a + t1 * b + t2 * c)
            Y[2, s] = b + h * tanh(t2 * a + t0 * b + t1 * c)
            Y[3, s] = c + h * tanh(t1 * a + t2 * b + t0 * c)
        end
    end
    total = zero(eltype(Y))
    @inbounds for k in eachindex(Y)
        total += (Y[k] - C[k])^2
    end
    return total / 2
end

"Strict local minima of a grid: below all of up to eight neighbours."
function count_minima(Phi)
    m = size(Phi, 1)
    return count(CartesianIndices(Phi)) do I
        neighbours = CartesianIndices((max(1, I[1] - 1):min(m, I[1] + 1), max(1, I[2] - 1):min(m, I[2] + 1)))
        all(J == I || Phi[I] < Phi[J] for J in neighbours)
    end
end

"""
    optimise(f, x)

Where BFGS with backtracking (Nocedal & Wright, algorithms 6.1 and 3.1) ends from `x`. Stops where the
gradient has fallen to 1e-8 of its first size, or where no step along the direction descends.
"""
function optimise(f, x)
    H = Matrix{eltype(x)}(I, 2, 2)
    value, g = value_and_gradient(f, x)
    first_size = norm(g)
    for k in 1:200
        norm(g) <= 1e-8 * first_size && break
        p = -H * g
        dot(p, g) < 0 || (H = one(H); p = -g)
        # The gradient's size says nothing about the scale of theta: the first step is of length 1/4.
        a = k == 1 ? 1 / (4 * norm(p)) : 1.0
        trial, new, new_g = x, value, g
        while a > 1e-12
            trial = x + a * p
            new, new_g = value_and_gradient(f, trial)
            new <= value + 1e-4 * a * dot(p, g) && break
            a /= 2
        end
        new < value || break
        s, y = trial - x, new_g - g
        if dot(s, y) > 0
            r = 1 / dot(s, y)
            V = I - r * s * y'
            H = V * H * V' + r * s * s'
        end
        x, value, g = trial, new, new_g
    end
    return x
end

function value_and_gradient(f, x)
    value, back = Zygote.pullback(f, x)
    return value, only(back(one(value)))
end

"Losses, gradients by reverse and forward mode at the sample points, Hessian at the truth."
function samples(inputs, options)
    Y0, theta = inputs["Y0"][:, :, 1], inputs["theta"]
    C = target(Y0)
    found = Dict{String, Any}(
        "target" => C,
        "hessian" => ForwardDiff.hessian(t -> loss(t, Y0, C, TRUE_LAYERS), truth_for(Y0)),
    )
    points = [theta[:, p] for p in axes(theta, 2)]
    for n in SAMPLED
        Phi(t) = loss(t, Y0, C, n)
        found["loss/N=$n"] = Phi.(points)
        found["gradient/N=$n"] = stack(only(Zygote.gradient(Phi, t)) for t in points)
        found["gradient/N=$n/forward"] = stack(ForwardDiff.gradient(Phi, t) for t in points)
    end
    return found
end

"Whole surfaces for training and test data of every seed."
function surfaces(inputs, options)
    Y0, Y0_test, axis = inputs["Y0"], inputs["Y0_test"], inputs["axis"]
    seeds = axes(Y0, 3)
    found = Dict{String, Any}()
    for n in (UNSTABLE, STABLE)
        rows = map(seeds) do s
            train, test = (surface(axis, Y[:, :, s], target(Y[:, :, s]), n) for Y in (Y0, Y0_test))
            lowest = argmin(train)
            (; train, absolute = maximum(abs, train - test), relative = norm(train - test) / norm(train),
             minima = count_minima(train), argmin = [axis[lowest[1]], axis[lowest[2]]],
             truth = loss(truth_for(Y0), Y0[:, :, s], target(Y0[:, :, s]), n))
        end
        found["surface/N=$n"] = rows[1].train
        found["truth/N=$n"] = [r.truth for r in rows]
        found["minima/N=$n"] = [r.minima for r in rows]
        found["argmin/N=$n"] = stack(r.argmin for r in rows)
        found["difference/N=$n/absolute"] = [r.absolute for r in rows]
        found["difference/N=$n/relative"] = [r.relative for r in rows]
    end
    return found
end

"Where the optimiser ends from each start, and how often that is the truth."
function optima(inputs, options)
    Y0, starts = inputs["Y0"][:, :, 1], inputs["starts"]
    C = target(Y0)
    found = Dict{String, Any}()
    for n in OPTIMISED
        ends = map(axes(starts, 2)) do k
            start = starts[:, k]
            # Phi_100 is of size 1e-5: divided by its value at the start, as in torch.
            unit = loss(start, Y0, C, n)
            optimise(t -> loss(t, Y0, C, n) / unit, start)
        end
        found["optimum/N=$n"] = stack(ends)
        found["success/N=$n"] = count(x -> norm(x - truth_for(Y0)) < BASIN, ends)
    end
    return found
end

function tasks(inputs, options)
    Y0, axis, theta = inputs["Y0"][:, :, 1], inputs["axis"], inputs["theta"]
    C = target(Y0)
    named = Dict{String, Function}("landscape/N=$n" => (() -> surface(axis, Y0, C, n))
                                   for n in (UNSTABLE, STABLE))
    points = [theta[:, p] for p in axes(theta, 2)]
    Phi(t) = loss(t, Y0, C, STABLE)
    named["gradient/N=$STABLE"] = () -> [only(Zygote.gradient(Phi, t)) for t in points]
    return named
end

STUDIES["landscape"] = StudyAnswer(["samples" => samples, "surfaces" => surfaces, "optima" => optima], tasks)

end
