# What reversibility means without a network: linear systems, the slide's step and the canonical
# one, and energy drift. Part of reversibility.jl; twin of engines/torch/_reversibility_side.py.

"RK4 forward and back on y' = lambda y."
function linear(inputs, options)
    z = inputs["z"]
    there_and_back(f, y, h, n) = advance(rk4, f, advance(rk4, f, y, 0.0, h, n), n * h, -h, n)
    real_axis = there_and_back((t, y) -> z .* y, one.(z), 1.0, 1)
    # i z as a rotation of the plane.
    plane = hcat(one.(z), zero(z))
    imaginary = there_and_back((t, y) -> hcat(-z .* y[:, 2], z .* y[:, 1]), plane, 1.0, 1)
    errors = [abs(only(there_and_back((t, y) -> 10 * y, z[1:1] ./ z[1:1], 1.0 / n, n)) - 1)
              for n in LINEAR_STEPS]
    # Many starts, because a single one may lose all its digits, or by luck none.
    Q, start = inputs["rotation"], inputs["Y0"][:, 1:options["sample"]]
    roundoff = map(inputs["rates"]) do rate
        A = Q * Diagonal([-rate, -one(rate)]) * Q'
        back = there_and_back((t, y) -> A * y, start, 1.0 / ROUNDOFF_STEPS, ROUNDOFF_STEPS)
        norm(back - start) / norm(start)
    end
    return Dict{String, Any}("linear/factor/real" => real_axis, "linear/factor/imaginary" => imaginary[:, 1],
                             "linear/roundtrip" => errors, "linear/roundoff" => eltype(z).(roundoff))
end

"The slide's two lines on x = (Y, Z), one sample."
function slide_step(x, K, b, h)
    d = length(b)
    Y, Z = x[1:d], x[(d + 1):end]
    Y = Y + h * tanh.(K * Z + b)
    return [Y; Z - h * tanh.(K' * Y + b)]
end

"The same with the gradients of sum(log cosh(K . + b)), which are K^T tanh(K . + b)."
function canonical_step(x, K, b, h)
    d = length(b)
    Y, Z = x[1:d], x[(d + 1):end]
    Y = Y + h * (K' * tanh.(K * Z + b))
    return [Y; Z - h * (K' * tanh.(K * Y + b))]
end

"Jacobians of one step, what they preserve, and the drift of a Hamiltonian."
function structure(inputs, options)
    x, K, b = inputs["x_step"], inputs["K_step"], inputs["b_step"]
    d, P = length(b), eltype(x)
    Omega = [zeros(P, d, d) Matrix{P}(I, d, d); -Matrix{P}(I, d, d) zeros(P, d, d)]
    found, volume, form = Dict{String, Any}(), P[], P[]
    for (name, step) in (("slide", slide_step), ("canonical", canonical_step))
        J, = Zygote.jacobian(x -> step(x, K, b, P(0.5)), x)
        found["jacobian/step/$name"] = J
        push!(volume, abs(det(J) - 1))
        push!(form, norm(J' * Omega * J - Omega))
    end
    found["structure/volume_defect"], found["structure/symplectic_defect"] = volume, form
    for (name, method) in (("two_line", symplectic_euler), ("stormer_verlet", verlet))
        found["hamiltonian/drift/$name"] = [drift(method, inputs, h) for h in DRIFT_STEPS]
    end
    return found
end

"max |H - H(0)| to T = 64 for H = [log cosh(k Z + beta) + log cosh(k Y + beta)]/k."
function drift(method, inputs, h)
    k, beta, (Y0, Z0) = scalar(inputs["k"]), scalar(inputs["beta"]), inputs["x0"]
    hamiltonian(Y, Z) = (log_cosh(k * Z + beta) + log_cosh(k * Y + beta)) / k
    system = ((t, Z) -> tanh(k * Z + beta), (t, Y) -> -tanh(k * Y + beta))
    times = [j * h for j in 0:round(Int, DRIFT_END / h)]
    H = [hamiltonian(state...) for state in integrate(method, system, (Y0, Z0), times)]
    return maximum(abs.(H .- H[1]))
end
