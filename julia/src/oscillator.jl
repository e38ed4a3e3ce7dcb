# Five integrators on the harmonic oscillator. Twin of engines/torch/oscillator.py.
#
# The state is 2 x starts, rows q and p; for the split methods the pair (q, p) of rows.

module Oscillator

using LinearAlgebra
using DifferentialEquations: DynamicalODEProblem, ODEProblem
using ForwardDiff: ForwardDiff
using OrdinaryDiffEqLowOrderRK: Euler, RK4
using OrdinaryDiffEqSymplecticRK: SymplecticEuler, VelocityVerlet
using Zygote: Zygote

using ..NumDLBridge: STUDIES, StudyAnswer, advance, forward_euler, library_steps, rk2, rk4, scalar,
                     symplectic_euler, undo_symplectic_euler, verlet

const STAGES = Dict("forward_euler" => 1, "rk2" => 2, "rk4" => 4, "symplectic_euler" => 1,
                    "verlet" => 1)
const RUNGE_KUTTA = Dict("forward_euler" => forward_euler, "rk2" => rk2, "rk4" => rk4)
const SPLIT = Dict("symplectic_euler" => symplectic_euler, "verlet" => verlet)
const ENERGY_CAP = 10.0  # studies.oscillator.CAP

"q' = p, p' = -omega^2 q. `omega` is a number or a row, one entry for each start."
oscillation(omega) = (t, y) -> vcat(y[2:2, :], -(omega .* omega) .* y[1:1, :])
oscillation_split(omega) = ((t, p) -> p, (t, q) -> -(omega .* omega) .* q)

"E = (p^2 + omega^2 q^2)/2."
function energy(y, omega)
    q, p = y[1:1, :], y[2:2, :]
    return (p .* p .+ (omega .* omega) .* (q .* q)) ./ 2
end

"The state after `n` steps of size `h`; every method takes and returns 2 x starts."
function propagate(method, y0, omega, h, n)
    haskey(RUNGE_KUTTA, method) &&
        return advance(RUNGE_KUTTA[method], oscillation(omega), y0, 0.0, h, n)
    q, p = advance(SPLIT[method], oscillation_split(omega), (y0[1:1, :], y0[2:2, :]), 0.0, h, n)
    return vcat(q, p)
end

"`n` steps undone: the same steps with -h, for the split methods line by line in reverse order."
function undo(method, y, omega, h, n)
    haskey(RUNGE_KUTTA, method) && return propagate(method, y, omega, -h, n)
    split, pair = oscillation_split(omega), (y[1:1, :], y[2:2, :])
    method == "symplectic_euler" &&
        return vcat(advance(undo_symplectic_euler, split, pair, 0.0, h, n)...)
    # Verlet read backward is Verlet with -h.
    return vcat(advance(verlet, split, pair, 0.0, -h, n)...)
end

"""
Largest |E/E0 - 1| up to the end of each period, from the first start, and the final state. An energy
that has left the cap or the range of numbers counts as the cap.
"""
function energy_growth(method, y0, omega, h, periods, steps)
    step, f = haskey(RUNGE_KUTTA, method) ? (RUNGE_KUTTA[method], oscillation(omega)) :
              (SPLIT[method], oscillation_split(omega))
    state = haskey(RUNGE_KUTTA, method) ? y0 : (y0[1:1, :], y0[2:2, :])
    first_energy = only(energy(y0, omega))
    worst, growth = zero(first_energy), Vector{typeof(first_energy)}(undef, periods)
    for period in 1:periods
        for j in 1:steps
            state = step(f, ((period - 1) * steps + j - 1) * h, state, h)
            worst = max(worst, capped(abs(only(energy(as_matrix(state), omega)) / first_energy - 1)))
        end
        growth[period] = worst
    end
    return growth, as_matrix(state)
end

as_matrix(y::AbstractMatrix) = y
as_matrix(state::Tuple) = vcat(state[1], state[2])

"The cap in place of what exceeds it, NaN included."
capped(x) = x <= ENERGY_CAP ? x : oftype(x, ENERGY_CAP)

"Energies by method and budget."
function oscillator_energies(inputs, options)
    y0, omega = inputs["y0"][:, 1:1], scalar(inputs["omega"])
    found = Dict{String, Any}()
    for (method, stages) in STAGES
        runs = map(enumerate(options["budgets"])) do (k, budget)
            energy_growth(method, y0, omega, inputs["h/$stages"][k], options["periods"],
                          budget ÷ stages)
        end
        growth = permutedims(reduce(hcat, first.(runs)))
        found["energy/growth/$method"] = growth
        found["energy/error/$method"] = growth[:, end]
        found["position/error/$method"] = [capped(norm(y - y0)) for (_, y) in runs]
    end
    return found
end

"Step size and number of steps of a method at the budget whose states are kept."
function recorded_grid(method, inputs, options, periods = options["periods"])
    stages = STAGES[method]
    k = findfirst(==(options["record"]), options["budgets"])
    return inputs["h/$stages"][k], periods * (options["record"] ÷ stages)
end

"States, round trips and gradients of the final energy at the recorded budget."
function oscillator_states(inputs, options)
    y0, omega = inputs["y0"], scalar(inputs["omega"])
    found = Dict{String, Any}()
    for method in keys(STAGES)
        h, n = recorded_grid(method, inputs, options)
        y = propagate(method, y0, omega, h, n)
        found["solution/$method"] = y
        found["inverse/$method"] = undo(method, y, omega, h, n)
        short = recorded_grid(method, inputs, options, options["gradient_periods"])
        of_y0, of_omega = energy_gradient(method, y0, omega, short...)
        found["gradient/$method/y0"], found["gradient/$method/omega"] = of_y0, vec(of_omega)
        method in ("rk4", "verlet") &&
            (found["gradient/$method/omega/sensitivity"] = sensitivity(method, y0, omega, short...))
        method == "rk4" &&
            (found["gradient/rk4/y0/adjoint"] =
                oscillator_adjoint(propagate(method, y0, omega, short...), omega, short...))
    end
    return found
end

"Of each start's final energy by its (q0, p0) and by omega: Zygote, a copy of omega for each start."
energy_gradient(method, y0, omega, h, n) = Zygote.gradient(
    (y0, omega) -> sum(energy(propagate(method, y0, omega, h, n), omega)), y0, fill(omega, 1, size(y0, 2)))

"d E/d omega of each start: ForwardDiff carries the sensitivity along in the same steps."
sensitivity(method, y0, omega, h, n) =
    vec(ForwardDiff.derivative(w -> energy(propagate(method, y0, w, h, n), w), omega))

"""
Optimise-then-discretise: RK4 of the adjoint equation a' = -J^T a, from a(T) = dE/dy back to 0. J is
constant, so that the state is not needed.
"""
function oscillator_adjoint(y, omega, h, n)
    a = vcat((omega * omega) * y[1:1, :], y[2:2, :])
    backward(t, a) = vcat((omega * omega) * a[2:2, :], -a[1:1, :])
    return advance(rk4, backward, a, 0.0, -h, n)
end

"The same solutions by OrdinaryDiffEq's own methods, n steps of exactly the same size."
function oscillator_library(inputs, options)
    y0, omega = inputs["y0"], scalar(inputs["omega"])
    f(y, _, t) = oscillation(omega)(t, y)
    v, a = oscillation_split(omega)
    q0, p0 = y0[1:1, :], y0[2:2, :]
    ode(T) = ODEProblem(f, y0, (zero(T), T))
    split_ode(T) = DynamicalODEProblem((p, q, _, t) -> a(t, q), (p, q, _, t) -> v(t, p), p0, q0,
                                       (zero(T), T))
    found = Dict{String, Any}()
    for (method, algorithm, problem) in (("forward_euler", Euler(), ode), ("rk4", RK4(), ode),
                                         ("symplectic_euler", SymplecticEuler(), split_ode),
                                         ("verlet", VelocityVerlet(), split_ode))
        h, n = recorded_grid(method, inputs, options)
        y = library_steps(problem, algorithm, h, n)
        found["solution/$method/ordinarydiffeq"] = y isa Matrix ? y : vcat(y.x[2], y.x[1])
    end
    return found
end

function oscillator_tasks(inputs, options)
    y0, omega = inputs["y0"], scalar(inputs["omega"])
    tasks = Dict{String, Function}()
    for method in keys(STAGES)
        h, n = recorded_grid(method, inputs, options)
        y = propagate(method, y0, omega, h, n)
        tasks["forward/$method"] = () -> propagate(method, y0, omega, h, n)
        tasks["inverse/$method"] = () -> undo(method, y, omega, h, n)
        short = recorded_grid(method, inputs, options, options["gradient_periods"])
        tasks["gradient/$method"] = () -> energy_gradient(method, y0, omega, short...)
    end
    return tasks
end

STUDIES["oscillator"] = StudyAnswer(
    ["energies" => oscillator_energies, "states" => oscillator_states,
     "library" => oscillator_library],
    oscillator_tasks,
)

end
