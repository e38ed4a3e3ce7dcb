# A user's own ODE u' = f(u, theta, t): solution, gradient and round trip, in the two modes.
# Its Python side is numdl_bridge/models/ode.py.

"""
    own_ode(arrays, arguments)

Solve a user's ODE and differentiate a loss of its solution.

`arrays` holds `u0`, `theta`, `times` (of observation) and, where no loss is given, `cotangent` (the
loss is its inner product with the solution, of size `(size(u0)..., length(times))`). `arguments`
holds `source`, `name`, `loss` (Julia source or nothing) and `mode`.

- `aligned`: explicit Runge-Kutta steps on the given `grid` with the given coefficients `A`, `b`,
  `c`, as torch takes them; `marks` are the places of `times` on the grid, counted from zero.
- `native`: DifferentialEquations.jl's own `method` with `rtol` and `atol`; the `gradient` is that of
  `forward` mode through the solver, or the `interpolation` adjoint.

`sensitivities` are further ways to the gradient, see `further_gradients!`. Returns `solution`, `loss`,
`gradient/...` and `round trip`.
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
Zygote.ChainRulesCore.@non_differentiable check_size(::Any, ::Any)

function own_ode_aligned(f, loss, arrays, arguments)
    u0, theta, grid = arrays["u0"], arrays["theta"], arrays["grid"]
    A, b, c = arrays["A"], arrays["b"], arrays["c"]
    marks = Int.(arrays["marks"]) .+ 1
    objective = objective_of(loss, arrays)
    states(u, p) = follow_grid(f, A, b, c, u, p, grid)
    observed(u, p) = stack(states(u, p)[marks])
    untouched(f, u0, theta, first(grid))

    seconds = Dict{String,Any}()
    U, seconds["solve"] = timed(() -> observed(u0, theta))
    result, seconds["gradient"] = timed() do
        Zygote.withgradient((u, p) -> objective(observed(u, p)), u0, theta)
    end
    back = last(follow_grid(f, A, b, c, last(states(u0, theta)), theta, reverse(grid)))
    out = Dict{String,Array}(
        "solution" => U,
        "loss" => wrap(result.val),
        "gradient/theta" => wrap(filled(result.grad[2], theta)),
        "gradient/u0" => wrap(filled(result.grad[1], u0)),
        "round trip" => Array(back),
    )
    if "forward" in arguments["sensitivities"]
        (out["gradient/theta/forward"], _), seconds["gradient/forward"] =
            timed(() -> forward_gradients((u, p) -> objective(observed(u, p)), u0, theta))
    end
    failures = further_gradients!(out, seconds, f, objective, arrays, arguments)
    return answered(arrays, out, "seconds" => seconds, "failures" => failures)
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
        catch error
            error isa InterruptException && rethrow()
            failures[name] = sprint(showerror, error)
        end
    end
    return failures
end

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

"""
    follow_grid(f, A, b, c, u, theta, grid)

States at all points of `grid` by the explicit Runge-Kutta scheme with coefficients `A`, `b`, `c`,
one step from each point to the next.
"""
function follow_grid(f, A, b, c, u, theta, grid)
    # A vector, made anew instead of pushed to, for Zygote; a tuple would be another type, compiled
    # again, after every step.
    states = [u]
    for n in 1:length(grid)-1
        u = runge_kutta_step(f, A, b, c, u, theta, grid[n], grid[n+1] - grid[n])
        states = [states; [u]]
    end
    return states
end

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

function own_ode_native(f, loss, arrays, arguments)
    u0, theta, times = arrays["u0"], arrays["theta"], arrays["times"]
    span = (first(times), last(times))
    objective = objective_of(loss, arrays)
    untouched(f, u0, theta, first(times))
    rhs(u, p, t) = derivative(f, u, p, t)
    function solved(u, p; tspan=span, saveat=times, rtol=arguments["rtol"], atol=arguments["atol"])
        problem = ODEProblem{false}(rhs, u, tspan, p)
        # A name of its own: an inner `solution` would be the outer one.
        found = solve(problem, METHODS[arguments["method"]](); reltol=rtol, abstol=atol, saveat)
        length(found.u) == length(saveat) && return found
        throw(ErrorException(
            "DifferentialEquations.jl stopped at t = $(last(found.t)): $(found.retcode)",
        ))
    end
    seconds = Dict{String,Any}()
    solution, seconds["solve"] = timed(() -> solved(u0, theta))
    U = stack(solution.u)
    if arguments["gradient"] == "forward"
        # Through the solver: the derivative of what the solver computes, at its steps.
        (of_theta, of_u0), seconds["gradient"] =
            timed(() -> forward_gradients((u, p) -> objective(stack(solved(u, p).u)), u0, theta))
    else
        found, seconds["gradient"] = timed() do
            continuous_gradient(fit_of(f, objective, arrays), vec(theta), :interpolation; how_of(arguments)...)
        end
        of_theta, of_u0 = reshape(found.theta, size(theta)), reshape(found.initial, size(u0))
    end
    back = solved(last(solution.u), theta; tspan=reverse(span), saveat=[first(times)])
    out = Dict{String,Array}(
        "solution" => U,
        "loss" => wrap(objective(U)),
        "gradient/theta" => of_theta,
        "gradient/u0" => of_u0,
        "round trip" => Array(last(back.u)),
        "steps" => fill(solution.stats.naccept),
        "evaluations" => fill(solution.stats.nf),
    )
    for (k, rtol) in enumerate(get(arrays, "tolerances", Float64[]))
        atol = rtol * arguments["atol"] / arguments["rtol"]
        s = solved(u0, theta; rtol, atol)
        out["work/$(k - 1)/solution"] = Array(last(s.u))
        out["work/$(k - 1)/evaluations"] = fill(s.stats.nf)
        out["work/$(k - 1)/seconds"] = fill(@elapsed solved(u0, theta; rtol, atol))
    end
    if "forward" in arguments["sensitivities"]
        out["gradient/theta/forward"] =
            first(forward_gradients((u, p) -> objective(stack(solved(u, p).u)), u0, theta))
    end
    failures = further_gradients!(out, seconds, f, objective, arrays, arguments)
    return answered(arrays, out, "seconds" => seconds, "failures" => failures)
end
