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
- `native`: DifferentialEquations.jl's own `method` with `rtol` and `atol`.

Returns `solution`, `loss`, `gradient/...` and `round trip`.
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
    size(du) == size(u) || throw(DimensionMismatch(
        "your Julia right-hand side returned size $(size(du)) for a state of size $(size(u))",
    ))
    return du
end

function own_ode_aligned(f, loss, arrays, arguments)
    u0, theta, grid = arrays["u0"], arrays["theta"], arrays["grid"]
    A, b, c = arrays["A"], arrays["b"], arrays["c"]
    marks = Int.(arrays["marks"]) .+ 1
    objective = objective_of(loss, arrays)
    states(u, p) = follow_grid(f, A, b, c, u, p, grid)
    observed(u, p) = stack(states(u, p)[marks])
    untouched(f, u0, theta, first(grid))

    U = observed(u0, theta)
    result, seconds = timed() do
        Zygote.withgradient((u, p) -> objective(observed(u, p)), u0, theta)
    end
    forward = ForwardDiff.gradient(
        v -> objective(observed(reshape(v[1:length(u0)], size(u0)), rest(v, u0, theta))),
        vcat(vec(u0), vec(theta)),
    )
    back = last(follow_grid(f, A, b, c, last(states(u0, theta)), theta, reverse(grid)))
    out = Dict{String,Array}(
        "solution" => U,
        "loss" => wrap(result.val),
        "gradient/theta" => wrap(filled(result.grad[2], theta)),
        "gradient/u0" => wrap(filled(result.grad[1], u0)),
        "gradient/theta/forward" => Array(rest(forward, u0, theta)),
        "round trip" => Array(back),
    )
    return answered(arrays, out, "seconds" => seconds)
end

rest(v, u0, theta) = reshape(v[length(u0)+1:end], size(theta))

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
    states = (u,)
    for n in 1:length(grid)-1
        u = runge_kutta_step(f, A, b, c, u, theta, grid[n], grid[n+1] - grid[n])
        states = (states..., u)
    end
    return collect(states)
end

function runge_kutta_step(f, A, b, c, u, theta, t, h)
    k = (derivative(f, u, theta, t),)
    for i in 2:length(b)
        k = (k..., derivative(f, u .+ h .* weighted(A[i, :], k), theta, t + c[i] * h))
    end
    return u .+ h .* weighted(b, k)
end

"The weighted sum of the stages from left to right, zero weights left out."
function weighted(weights, k)
    total = nothing
    for i in eachindex(k)
        iszero(weights[i]) && continue
        total = total === nothing ? weights[i] .* k[i] : total .+ weights[i] .* k[i]
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
    solution, seconds = timed(() -> solved(u0, theta))
    U = stack(solution.u)
    # Forward mode through the solver: the derivative of what the solver computes, at its steps.
    gradient = ForwardDiff.gradient(
        v -> objective(stack(solved(reshape(v[1:length(u0)], size(u0)), rest(v, u0, theta)).u)),
        vcat(vec(u0), vec(theta)),
    )
    back = solved(last(solution.u), theta; tspan=reverse(span), saveat=[first(times)])
    out = Dict{String,Array}(
        "solution" => U,
        "loss" => wrap(objective(U)),
        "gradient/theta" => Array(rest(gradient, u0, theta)),
        "gradient/u0" => Array(reshape(gradient[1:length(u0)], size(u0))),
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
    return answered(arrays, out, "seconds" => seconds)
end
