# A user's own ODE u' = f(u, theta, t): solution, gradient and round trip, in the two modes.
# Its Python side is numdl_bridge/models/ode.py.

"""
    own_ode(arrays, arguments)

Solve a user's ODE and differentiate a loss of its solution.

`arrays` holds `u0`, `theta`, `times` (of observation) and, where no loss is given, `cotangent` (the
loss is its inner product with the solution, of size `(size(u0)..., length(times))`); for `native`
also `tolerances`, the relative ones of a work-precision study, if any. `arguments` holds `source`,
`name`, `loss` (Julia source or nothing), `mode` and `sensitivities`.

- `aligned`: explicit Runge-Kutta steps on the given `grid` with the given coefficients `A`, `b`,
  `c`, as torch takes them; `marks` are the places of `times` on the grid, counted from zero.
- `native`: DifferentialEquations.jl's own `method` with `rtol` and `atol`; the `gradient` is that of
  `forward` mode through the solver, or the `interpolation` adjoint.

`sensitivities` are further ways to the gradient: `forward`, and those of `further_gradients!`.

Returns `solution` (as the cotangent), `loss`, `gradient/theta`, `gradient/u0`, `round trip` (the initial
state, solved backward from the final one), `gradient/theta/<sensitivity>`; for `native` also `steps`,
`evaluations` and, for the k-th of `tolerances`, `work/k/solution` (the last state), `work/k/evaluations`,
`work/k/seconds`. In the data: `seconds` by task, and `failures` by sensitivity, with the reason;
`gradient` stands there where the native adjoint itself broke down.
"""
function own_ode(arrays, arguments)
    f = own_function(arguments["source"], arguments["name"])
    loss = arguments["loss"] === nothing ? nothing : own_function(arguments["loss"])
    answer = arguments["mode"] == "aligned" ? own_ode_aligned : own_ode_native
    return Base.invokelatest(answer, f, loss, arrays, arguments)
end

objective_of(loss, arrays) =
    loss === nothing ? (U -> sum(arrays["cotangent"] .* U)) : (U -> checked(loss(U)))

"The derivative, or an error that says what the user's function returned in its place."
function derivative(f, u, theta, t)
    du = checked(f(u, theta, t))
    check_size(du, u)
    return du
end

check_size(du, u) = size(du) == size(u) || throw(DimensionMismatch(
    "your Julia right-hand side returned size $(size(du)) for a state of size $(size(u))",
))
ChainRulesCore.@non_differentiable check_size(::Any, ::Any)

"`own_ode` by given steps: forward, and by one vector-Jacobian product for each step back."
function own_ode_aligned(f, loss, arrays, arguments)
    u0, theta, grid = arrays["u0"], arrays["theta"], arrays["grid"]
    A, b, c = arrays["A"], arrays["b"], arrays["c"]
    marks = Int.(arrays["marks"]) .+ 1
    objective = objective_of(loss, arrays)
    one_step(t, h, u, p) = runge_kutta_step(f, A, b, c, u, p, t, h)
    path_of(u, p, grid) = all_states(one_step, u, p, steps_on(grid))
    observed(u, p) = stack(path_of(u, p, grid)[marks])
    untouched(f, u0, theta, first(grid))

    seconds = Dict{String,Any}()
    U, seconds["solve"] = timed(() -> observed(u0, theta))
    (value, of_theta, of_u0), seconds["gradient"] = timed() do
        path = path_of(u0, theta, grid)
        result = Zygote.withgradient(objective, stack(path[marks]))
        jumps = jumps_at(marks, only(result.grad), length(path))
        result.val, reverse_steps(one_step, path, theta, steps_on(grid), jumps)...
    end
    back = last(path_of(last(path_of(u0, theta, grid)), theta, reverse(grid)))
    out = Dict{String,Array}(
        "solution" => U,
        "loss" => wrap(value),
        "gradient/theta" => wrap(filled(of_theta, theta)),
        "gradient/u0" => wrap(filled(of_u0, u0)),
        "round trip" => Array(back),
    )
    if "forward" in arguments["sensitivities"]
        (out["gradient/theta/forward"], _), seconds["gradient/forward"] =
            timed(() -> forward_gradients((u, p) -> objective(observed(u, p)), u0, theta))
    end
    failures = further_gradients!(out, seconds, f, objective, arrays, arguments)
    return answered(arrays, out, "seconds" => seconds, "failures" => failures)
end

"Time and size of the steps from each point of the grid to the next."
steps_on(grid) = [(grid[n], grid[n+1] - grid[n]) for n in 1:length(grid)-1]

"The loss's derivatives by the states at `marks` of a path of `n` states; nothing at the others."
function jumps_at(marks, of_states, n)
    jumps = Vector{Any}(nothing, n)
    of_states === nothing && return jumps
    for (mark, jump) in zip(marks, eachslice(of_states; dims=ndims(of_states)))
        jumps[mark] = jumps[mark] === nothing ? collect(jump) : jumps[mark] + jump
    end
    return jumps
end

"Derivatives of `value(u0, theta)` by `theta` and by `u0`, by ForwardDiff."
function forward_gradients(value, u0, theta)
    n = length(u0)
    initial(v) = reshape(v[1:n], size(u0))
    parameters(v) = reshape(v[n+1:end], size(theta))
    v = ForwardDiff.gradient(v -> value(initial(v), parameters(v)), [vec(u0); vec(theta)])
    return parameters(v), initial(v)
end

"The problem as the case studies have it: states and parameters are vectors."
function fit_of(f, objective, arrays)
    u0, theta, times = arrays["u0"], arrays["theta"], arrays["times"]
    rhs(t, u, p) = vec(derivative(f, reshape(u, size(u0)), reshape(p, size(theta)), t))
    loss(states) = objective(reshape(states, size(u0)..., length(times)))
    return Fit(rhs, vec(u0), times, loss)
end

"""
    further_gradients!(out, seconds, f, objective, arrays, arguments) -> failures

The gradient by each of `arguments["sensitivities"]` but `forward`: continuous adjoints of ours
(`continuous_gradient`), and SciMLSensitivity's (`sciml/<name>`). One that fails is reported, the others
go on.
"""
function further_gradients!(out, seconds, f, objective, arrays, arguments)
    theta = arrays["theta"]
    failures = Dict{String,Any}()
    for name in arguments["sensitivities"]
        name == "forward" && continue
        try
            gradient, seconds["gradient/$name"] = timed() do
                further_gradient(name, fit_of(f, objective, arrays), vec(theta), arguments)
            end
            out["gradient/theta/$name"] = reshape(gradient, size(theta))
        catch failure
            failure isa InterruptException && rethrow()
            failures[name] = sprint(showerror, failure)
        end
    end
    return failures
end

"Method and tolerances that were asked for, as `continuous_gradient` takes them."
how_of(arguments) =
    (; algorithm=METHODS[arguments["method"]](), rtol=arguments["rtol"], atol=arguments["atol"])

function further_gradient(name, fit, theta, arguments)
    how = how_of(arguments)
    if startswith(name, "sciml/")
        missing_because = sciml_missing()
        missing_because === nothing || throw(ErrorException(missing_because))
        # In the newest world: SciMLSensitivity may have been loaded a moment ago.
        return Base.invokelatest(sciml_gradient, fit, theta, chopprefix(name, "sciml/"); how...).theta
    end
    found = continuous_gradient(fit, theta, Symbol(name); how...)
    found.outcome == "success" || throw(ErrorException(found.outcome))
    return found.theta
end

"A right-hand side that writes into its arguments would give another answer each time."
function untouched(f, u0, theta, t)
    before = deepcopy((u0, theta))
    derivative(f, u0, theta, t)
    isequal((u0, theta), before) ||
        throw(ArgumentError("your Julia right-hand side changes its arguments; return a new array"))
end

"One explicit Runge-Kutta step from t to t + h, coefficients `A`, `b`, `c`."
function runge_kutta_step(f, A, b, c, u, theta, t, h)
    k = [derivative(f, u, theta, t)]
    for i in 2:length(b)
        k = [k; [derivative(f, u .+ h .* weighted(A[i, :], k), theta, t + c[i] * h)]]
    end
    return u .+ h .* weighted(b, k)
end

"The weighted sum of the stages from left to right, zero weights left out."
function weighted(weights, k)
    first_one = findfirst(!iszero, weights)
    total = weights[first_one] .* k[first_one]
    for i in first_one+1:length(k)
        iszero(weights[i]) || (total = total .+ weights[i] .* k[i])
    end
    return total
end

const METHODS = Dict(
    "tsit5" => Tsit5, "dp5" => DP5, "bs3" => BS3, "vern7" => Vern7, "rodas5p" => Rodas5P,
)

"The solution at `saveat` by the method asked for, or an error that says where it stopped."
function solve_natively(f, u, p, span, saveat, (; algorithm, rtol, atol))
    problem = ODEProblem{false}((u, p, t) -> derivative(f, u, p, t), u, span, p)
    found = solve(problem, algorithm; reltol=rtol, abstol=atol, saveat)
    length(found.u) == length(saveat) && return found
    throw(ErrorException("DifferentialEquations.jl stopped at t = $(last(found.t)): $(found.retcode)"))
end

"`own_ode` by DifferentialEquations.jl's own method and step size control."
function own_ode_native(f, loss, arrays, arguments)
    u0, theta, times = arrays["u0"], arrays["theta"], arrays["times"]
    span, how = (first(times), last(times)), how_of(arguments)
    objective = objective_of(loss, arrays)
    untouched(f, u0, theta, first(times))
    forward(u, p, how) = solve_natively(f, u, p, span, times, how)
    # Through the solver. With dual numbers its error norm counts the derivatives too, so that it takes
    # other steps, usually more, than without: a derivative to the same tolerances, but not that of the
    # very solution that is returned.
    by_duals() = forward_gradients((u, p) -> objective(stack(forward(u, p, how).u)), u0, theta)

    seconds, failures = Dict{String,Any}(), Dict{String,Any}()
    solution, seconds["solve"] = timed(() -> forward(u0, theta, how))
    back = solve_natively(f, last(solution.u), theta, reverse(span), [first(times)], how)
    out = Dict{String,Array}(
        "solution" => stack(solution.u),
        "loss" => wrap(objective(stack(solution.u))),
        "round trip" => Array(last(back.u)),
        "steps" => fill(solution.stats.naccept),
        "evaluations" => fill(solution.stats.nf),
    )
    if arguments["gradient"] == "forward"
        (out["gradient/theta"], out["gradient/u0"]), seconds["gradient"] = timed(by_duals)
    else
        fit = fit_of(f, objective, arrays)
        found, seconds["gradient"] =
            timed(() -> continuous_gradient(fit, vec(theta), :interpolation; how...))
        if found.outcome == "success"
            out["gradient/theta"] = reshape(found.theta, size(theta))
            out["gradient/u0"] = reshape(found.initial, size(u0))
        else
            failures["gradient"] = found.outcome
        end
    end
    "forward" in arguments["sensitivities"] && (out["gradient/theta/forward"] = first(by_duals()))
    work_and_precision!(out, forward, arrays, how)
    merge!(failures, further_gradients!(out, seconds, f, objective, arrays, arguments))
    return answered(arrays, out, "seconds" => seconds, "failures" => failures)
end

"The last state, evaluations and seconds at each of `tolerances`, atol in the ratio asked for."
function work_and_precision!(out, forward, arrays, how)
    for (k, rtol) in enumerate(get(arrays, "tolerances", Float64[]))
        at = merge(how, (; rtol, atol=rtol * how.atol / how.rtol))
        found = forward(arrays["u0"], arrays["theta"], at)
        out["work/$(k - 1)/solution"] = Array(last(found.u))
        out["work/$(k - 1)/evaluations"] = fill(found.stats.nf)
        out["work/$(k - 1)/seconds"] = fill(@elapsed forward(arrays["u0"], arrays["theta"], at))
    end
end
