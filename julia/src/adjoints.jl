# Gradients of a loss over observation times, by discretising first or last. Twin of
# engines/torch/adjoint.py, whose text explains the methods. Solves are DifferentialEquations.jl's,
# vector-Jacobian products Zygote's; no sensitivity package is needed.

"""
A model u' = f(t, u, theta), its initial state, observation times (the first is that of u0), and a
scalar loss of the states there, a matrix with one column for each time.
"""
struct Fit{F, U, T, L}
    f::F
    u0::U
    times::T
    loss::L
end

"""
A loss and its gradient. `back` is the initial state as the backward solve reconstructs it (or
nothing), `forward` and `backward` are the adaptive solutions (or nothing); `outcome` is "success", or
which solve ended early, and then the gradients are NaN.
"""
Base.@kwdef struct Gradient{L, T, I, S, Y, F, B}
    loss::L
    theta::T
    initial::I
    states::S
    back::Y = nothing
    forward::F = nothing
    backward::B = nothing
    outcome::String = "success"
end

"""
`n` steps of size `h` of one of OrdinaryDiffEq's methods; `problem(T)` is an ODEProblem over a time of
length T, which is a step longer than what is used. Stepped and not solved to an end, because the end
n h is rounded and the last step would be cut to fit it.
"""
function library_steps(problem, algorithm, h, n)
    integrator = init(problem(h * (n + 1)), algorithm; dt = h, adaptive = false,
                      save_everystep = false)
    for _ in 1:n
        step!(integrator)
    end
    return copy(integrator.u)
end

"""
The states at the observation times by fixed steps, `substeps` equal ones to each interval: a matrix,
one column a time.
"""
function observed(fit, theta, u0 = fit.u0; step = rk4, substeps = 1)
    f(t, u) = fit.f(t, u, theta)
    states, u = [u0], u0
    for (t0, t1) in zip(fit.times[1:(end - 1)], fit.times[2:end])
        h = (t1 - t0) / substeps
        for j in 0:(substeps - 1)
            u = step(f, t0 + j * h, u, h)
        end
        # Made anew and not pushed to, for Zygote.
        states = [states; [u]]
    end
    return reduce(hcat, states)
end

"The loss of the states at the observation times, and its derivative by them, of the same size."
function weigh(fit, states)
    value, (jumps,) = Zygote.withgradient(fit.loss, states)
    return value, jumps === nothing ? zero(states) : jumps
end

"""
    discrete_gradient(fit, theta; step = rk4, substeps = 1) -> Gradient

Discretise, then optimise: the exact gradient of the loss of `observed`, by one vector-Jacobian product
for each step, from the last to the first. Only the states between the steps are kept.
"""
function discrete_gradient(fit, theta; step = rk4, substeps = 1)
    steps = steps_between(fit.times, substeps)
    one_step(t, h, u, p) = step((s, v) -> fit.f(s, v, p), t, u, h)
    path = all_states(one_step, fit.u0, theta, steps)
    states = reduce(hcat, path[1:substeps:end])
    value, of_states = weigh(fit, states)
    jumps = [(n - 1) % substeps == 0 ? of_states[:, (n - 1) ÷ substeps + 1] : nothing
             for n in eachindex(path)]
    of_theta, of_initial = reverse_steps(one_step, path, theta, steps, jumps)
    return Gradient(; loss = value, theta = of_theta, initial = of_initial, states)
end

"Where each step starts, and its size: `substeps` equal ones between every two times."
steps_between(times, substeps) =
    [(t0 + j * ((t1 - t0) / substeps), (t1 - t0) / substeps)
     for (t0, t1) in zip(times[1:(end - 1)], times[2:end]) for j in 0:(substeps - 1)]

"`u` and the states after each of the `steps` (t, h), each of them `one_step(t, h, state, theta)`."
all_states(one_step, u, theta, steps) =
    [[u]; collect(Iterators.accumulate((v, (t, h)) -> one_step(t, h, v, theta), steps; init = u))]

"""
    reverse_steps(one_step, path, theta, steps, jumps) -> gradients in theta and in path[1]

The transposed steps, last first: `one_step(t, h, path[n], theta)` with `steps[n] = (t, h)` gave
`path[n + 1]`, and `jumps[n]` is the loss's own derivative by `path[n]`, or nothing.
"""
function reverse_steps(one_step, path, theta, steps, jumps)
    lambda, g = something(jumps[end], zero(path[end])), zero(theta)
    for n in length(steps):-1:1
        t, h = steps[n]
        _, back = Zygote.pullback((u, p) -> one_step(t, h, u, p), path[n], theta)
        lambda, of_theta = back(lambda)
        # Zygote's word for a derivative that is zero throughout is nothing.
        of_theta === nothing || (g += of_theta)
        jumps[n] === nothing || (lambda += jumps[n])
    end
    return g, lambda
end

"""
    whole_gradient(fit, theta; step = rk4, substeps = 1) -> Gradient

The same gradient by reverse mode through all steps at once, what a user of Zygote would write: the
tape holds every operation of every step.
"""
function whole_gradient(fit, theta; step = rk4, substeps = 1)
    states, back = Zygote.pullback((p, u0) -> observed(fit, p, u0; step, substeps), theta, fit.u0)
    value, jumps = weigh(fit, states)
    of_theta, of_initial = back(jumps)
    return Gradient(; loss = value, theta = of_theta, initial = of_initial, states)
end

"The same gradient by ForwardDiff: sensitivities carried along by the same steps."
function forward_gradient(fit, theta; step = rk4, substeps = 1)
    states = observed(fit, theta; step, substeps)
    objective(theta, u0) = fit.loss(observed(fit, theta, u0; step, substeps))
    return Gradient(; loss = fit.loss(states), states,
                    theta = ForwardDiff.gradient(p -> objective(p, fit.u0), theta),
                    initial = ForwardDiff.gradient(u -> objective(theta, u), fit.u0))
end

"The forward solution: at the observation times, or dense."
function solve_forward(fit, theta; algorithm = Tsit5(), rtol, atol, dense = false, options...)
    problem = ODEProblem((u, p, t) -> fit.f(t, u, p), fit.u0, (fit.times[1], fit.times[end]), theta)
    how = dense ? (; dense = true) : (; saveat = fit.times)
    return solve(problem, algorithm; reltol = rtol, abstol = atol, how..., options...)
end

"""
    continuous_gradient(fit, theta, method; rtol, atol, algorithm = Tsit5())

Optimise, then discretise: one backward solve of (lambda, g[, u]) with the jumps of the loss as stops.

| method           | the state on the way back                                             |
|:---------------- |:--------------------------------------------------------------------- |
| `:backsolve`     | integrated backward from its final value, never reset (2019)          |
| `:reset`         | the same, reset to the stored state at each observation time          |
| `:interpolation` | read from the dense output of the forward solve                       |
| `:checkpoints`   | solved forward again between stored states, then from dense output    |
"""
function continuous_gradient(fit, theta, method::Symbol; rtol, atol, algorithm = Tsit5(), options...)
    how = (; algorithm, rtol, atol, options...)
    forward = solve_forward(fit, theta; dense = method === :interpolation, how...)
    if !successful_retcode(forward)
        return broken(fit, theta, "forward: $(forward.retcode)", forward)
    end
    states = method === :interpolation ? reduce(hcat, forward(t) for t in fit.times) :
             reduce(hcat, forward.u)
    value, jumps = weigh(fit, states)
    n, m, N = length(fit.u0), length(theta), length(fit.times)
    z = [jumps[:, N]; zero(theta)]
    if method === :backsolve || method === :reset
        z = [z; states[:, N]]
        stored = method === :reset ? states : nothing
        backward = solve_backward(fit, theta, z, N, 1, jumps, nothing, stored; how...)
    elseif method === :interpolation
        backward = solve_backward(fit, theta, z, N, 1, jumps, forward, nothing; how...)
    elseif method === :checkpoints
        backward, again = solve_between_checkpoints(fit, theta, z, states, jumps; how...)
        successful_retcode(again) ||
            return broken(fit, theta, "forward again: $(again.retcode)", forward, backward, value, states)
    else
        throw(ArgumentError("no adjoint method $method"))
    end
    successful_retcode(backward) ||
        return broken(fit, theta, "backward: $(backward.retcode)", forward, backward, value, states)
    z = backward.u[end]
    return Gradient(; loss = value, theta = z[(n + 1):(n + m)], initial = z[1:n] + jumps[:, 1], states,
                    back = length(z) > n + m ? z[(n + m + 1):end] : nothing, forward, backward)
end

"""
The adjoint z from the last observation to the first, the state solved forward again, dense, from each
stored one to the next. Returns the last backward solve and the last forward one; whichever broke down
is the last.
"""
function solve_between_checkpoints(fit, theta, z, states, jumps; how...)
    n, backward, ahead = length(fit.u0), nothing, nothing
    for i in (length(fit.times) - 1):-1:1
        piece = Fit(fit.f, states[:, i], fit.times[i:(i + 1)], fit.loss)
        ahead = solve_forward(piece, theta; dense = true, how...)
        successful_retcode(ahead) || break
        backward = solve_backward(fit, theta, z, i + 1, i, jumps, ahead, nothing; how...)
        successful_retcode(backward) || break
        z = [backward.u[end][1:n] + (i > 1) * jumps[:, i]; backward.u[end][(n + 1):end]]
    end
    return backward, ahead
end

"""
The adjoint from observation `from` back to observation `to`, with the jumps in between. `known` gives
the state where it is not part of z; `stored` resets it at each stop.
"""
function solve_backward(fit, theta, z, from, to, jumps, known, stored; algorithm, rtol, atol, options...)
    n, m = length(fit.u0), length(theta)
    function adjoint(z, theta, t)
        u = known === nothing ? z[(n + m + 1):end] : known(t)
        du, back = Zygote.pullback((u, theta) -> fit.f(t, u, theta), u, theta)
        by_u, by_theta = back(z[1:n])
        return known === nothing ? [-by_u; -by_theta; du] : [-by_u; -by_theta]
    end
    stops = fit.times[(to + 1):(from - 1)]
    function at_stop!(integrator)
        i = to + findfirst(==(integrator.t), stops)
        after = copy(integrator.u)
        after[1:n] += jumps[:, i]
        stored === nothing || (after[(n + m + 1):end] = stored[:, i])
        integrator.u = after
        derivative_discontinuity!(integrator, true)
    end
    jump = DiscreteCallback((z, t, integrator) -> t in stops, at_stop!; save_positions = (false, false))
    problem = ODEProblem(adjoint, z, (fit.times[from], fit.times[to]), theta)
    return solve(problem, algorithm; reltol = rtol, abstol = atol, callback = jump,
                 tstops = reverse(stops), save_everystep = false, options...)
end

"What is returned where a solve broke down: an outcome, not an error."
function broken(fit, theta, outcome, forward, backward = nothing, loss = NaN, states = forward.u)
    nothing_like(x) = fill(oftype(first(x), NaN), length(x))
    return Gradient(; loss = oftype(first(theta), loss), theta = nothing_like(theta),
                    initial = nothing_like(fit.u0), states, forward, backward, outcome)
end

"""
    sciml_gradient(fit, theta, sensealg; rtol, atol)

The gradient by SciMLSensitivity, `sensealg` one of "backsolve", "checkpoints", "interpolating",
"gauss", "quadrature". Defined by the package extension when SciMLSensitivity is loaded.
"""
function sciml_gradient end

"Why `sciml_gradient` cannot be called, or nothing."
sciml_missing() = isempty(methods(sciml_gradient)) ?
    "SciMLSensitivity is not loaded: `using SciMLSensitivity` (install it first where it is not there)" :
    nothing
