# Fixed-step time integrators: the object of study, so they are ours.
#
# Twin of `engines/torch/integrators.py`: same names, same order of operations. A step knows nothing
# about weights, batches or gradients, so that Zygote, ForwardDiff, ReverseDiff and BigFloat go
# through it. Time is a Float64 (BigFloat in BigFloat runs) whatever the precision of the state.

"""
A step size as a number of the state's precision, so that Float32 states stay Float32 and BigFloat
states take it exactly. Dual and tracked numbers count by what they carry.
"""
as_state(h, y::AbstractArray) = convert(precision_of(eltype(y)), h)
as_state(h, y::Tuple) = as_state(h, first(y))
as_state(h, y::Number) = convert(precision_of(typeof(y)), h)
precision_of(::Type{T}) where {T <: AbstractFloat} = T
precision_of(::Type{T}) where {T <: ForwardDiff.Dual} = precision_of(ForwardDiff.valtype(T))
precision_of(::Type{<:Tracker.TrackedReal{T}}) where {T} = precision_of(T)
precision_of(::Type{<:ReverseDiff.TrackedReal{T}}) where {T} = precision_of(T)
precision_of(::Type) = Float64
ChainRulesCore.@non_differentiable as_state(::Any, ::Any)

"Order 1, one evaluation: y + h f(t, y). A residual block is one such step."
forward_euler(f, t, y, h) = y + as_state(h, y) * f(t, y)

"Order 2, two evaluations: the explicit midpoint rule."
function rk2(f, t, y, h)
    k1 = f(t, y)
    return y + as_state(h, y) * f(t + h / 2, y + as_state(h / 2, y) * k1)
end

"Order 4, four evaluations: the classic Runge–Kutta scheme, not the 3/8 rule."
function rk4(f, t, y, h)
    half = as_state(h / 2, y)
    k1 = f(t, y)
    k2 = f(t + h / 2, y + half * k1)
    k3 = f(t + h / 2, y + half * k2)
    k4 = f(t + h, y + as_state(h, y) * k3)
    return y + as_state(h / 6, y) * (k1 + 2 * k2 + 2 * k3 + k4)
end

"""
Order 1, one evaluation of each: q first, then p at the new q: q+ = q + h v(t, p),
p+ = p + h a(t + h, q+). This is the talk's two-line "Verlet" step. `system` is the pair (v, a).
"""
function symplectic_euler(system, t, state, h)
    v, a = system
    q, p = state
    q = q + as_state(h, q) * v(t, p)
    return q, p + as_state(h, p) * a(t + h, q)
end

"The two lines undone, the second one first, for the same `h`: the state at t of that at t + h."
function undo_symplectic_euler(system, t, state, h)
    v, a = system
    q, p = state
    p = p - as_state(h, p) * a(t + h, q)
    return q - as_state(h, q) * v(t, p), p
end

"""
Order 2, Störmer–Verlet as kick-drift-kick: one new force a step. `state` is (q, p) or (q, p, force at
q); the force at the new q is returned with the state and is the first force of the next step.
"""
function verlet(system, t, state, h)
    v, a = system
    q, p = state[1], state[2]
    half = as_state(h / 2, p)
    force = length(state) == 3 ? state[3] : a(t, q)
    p = p + half * force
    q = q + as_state(h, q) * v(t + h / 2, p)
    force = a(t + h, q)
    return q, p + half * force, force
end

"""
Order 2, one evaluation of each: staggered leapfrog, p lives half a step before q. The state is
(q at t, p at t - h/2).
"""
function leapfrog(system, t, state, h)
    v, a = system
    q, p = state
    p = p + as_state(h, p) * a(t, q)
    return q + as_state(h, q) * v(t + h / 2, p), p
end

"""
All states at `times`, one step from each time to the next: a vector, the first entry `y0` itself. Not
for Zygote, which `advance` is.
"""
function integrate(step, f, y0, times)
    states, y = [parts(y0, y0)], y0
    for (t, t_next) in zip(times[1:(end - 1)], times[2:end])
        y = step(f, t, y, t_next - t)
        push!(states, parts(y, y0))
    end
    return states
end

"The state at `times[end]` only: `integrate` without keeping the trajectory."
function final_state(step, f, y0, times)
    y = y0
    for (t, t_next) in zip(times[1:(end - 1)], times[2:end])
        y = step(f, t, y, t_next - t)
    end
    return parts(y, y0)
end

"The state after `n_steps` steps of exactly the same size `h`, the j-th from t0 + j h."
function advance(step, f, y0, t0, h, n_steps)
    y = y0
    for j in 0:(n_steps - 1)
        y = step(f, t0 + j * h, y, h)
    end
    return parts(y, y0)
end

"Of a longer state (Verlet's force) the parts that the initial state has."
parts(y, y0) = y
parts(y::Tuple, y0::Tuple) = y[1:length(y0)]

"The `n_steps + 1` times t0 + j h, h = (t1 - t0)/n_steps, the last one exactly t1."
function uniform_times(t0, t1, n_steps)
    n_steps >= 1 || throw(ArgumentError("n_steps = $n_steps; a positive integer is needed"))
    h = (t1 - t0) / n_steps
    return [[t0 + j * h for j in 0:(n_steps - 1)]; t1]
end
