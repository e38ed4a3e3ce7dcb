"""
A user's own models: functions (here), mirrored torch modules (`mirrored.jl`) and ODEs
(`own_odes.jl`). Their Python sides are in `numdl_bridge/models/`: `functions.py`, `modules.py` and
`ode.py`.
"""
module OwnModels

using ChainRulesCore: ChainRulesCore
using DifferentialEquations: ODEProblem, Rodas5P, Tsit5, Vern7, solve
using ForwardDiff: ForwardDiff
using OrdinaryDiffEqLowOrderRK: BS3, DP5
using ReverseDiff: ReverseDiff
using Tracker: Tracker
using Zygote: Zygote

using ..NumDLBridge: Answer, Fit, SERVED, all_states, continuous_gradient, input_hash, reverse_steps,
                     sciml_gradient, sciml_missing

"""
The module and last value of each source text evaluated so far. The same text gives the same functions,
so that what Julia compiled for the first call (seconds) serves the next ones (milliseconds).
"""
const EVALUATED = Dict{String,Tuple{Module,Any}}()

"""
    evaluated(source, what)

Evaluate Julia source text in a module of its own: that module and the text's last value. A text seen
before is not evaluated again, unless it includes files, which may have changed since.
"""
function evaluated(source::AbstractString, what::AbstractString)
    haskey(EVALUATED, source) && return EVALUATED[source]
    sandbox = Module(:OwnModel)
    closed = Ref(true)
    from(file) = (closed[] = false; Base.include(sandbox, file))
    Core.eval(sandbox, :(const include = $from))
    found = (sandbox, include_string(sandbox, source, what))
    closed[] && (EVALUATED[source] = found)
    return found
end

"""
    own_function(source, name = nothing)

The function that a Julia source text defines: the last value of the text, or its binding `name`.
Throws an `ArgumentError` that says what was found where that is no function, and Julia's own error
where the text does not parse.
"""
function own_function(source::AbstractString, name=nothing)
    sandbox, value = evaluated(source, "your Julia source")
    if name !== nothing
        # In the newest world: from Julia 1.12 on, a function that was entered before a name was
        # defined does not see it.
        Base.invokelatest(isdefined, sandbox, Symbol(name)) ||
            throw(ArgumentError("your Julia source defines no `$name`"))
        value = Base.invokelatest(getfield, sandbox, Symbol(name))
    end
    value isa Function && return value
    throw(ArgumentError(
        "your Julia source evaluates to a $(typeof(value)); a function was expected, such as " *
        "`(; theta) -> sum(abs2, theta)`",
    ))
end

named(arrays, names) = NamedTuple(Symbol(n) => unwrap(arrays[n]) for n in names)

"0-dimensional arrays are numbers to a user."
unwrap(x::AbstractArray{<:Any,0}) = x[]
unwrap(x) = x

wrap(x::Number) = fill(x)
wrap(x::AbstractArray) = Array(x)

"""
The result of a user's function, or an error that says what it returned instead of numbers. By dispatch
and not by `isa`: with branches on types, Zygote generates its code again at every call.
"""
checked(y::Real) = y
checked(y::AbstractArray{<:Real}) = y
checked(y) = throw(ArgumentError(
    "your Julia function returned a $(typeof(y)); a real number or an array of them was expected",
))

pairing(w, y::Number) = w[] * y
pairing(w, y::AbstractArray) = sum(w .* y)

"""
    own_gradient(arrays, arguments)

Value, Jacobian-transpose-vector products by each AD package, and a Jacobian-vector product of a
user's function `f(; at..., constants...)`, called with keywords.

`arrays` holds `at/<name>`, `constants/<name>`, `tangent/<name>` and, for functions with an array of
results, `cotangent`. `arguments` holds `source`, `name`, `at`, `constants` (names) and `packages`
(`zygote`, `forwarddiff`, `reversediff`, `tracker`). Returns `value`, `jvp`,
`gradient/<package>/<name>`. A package that fails is reported in `failures`, the others go on.
"""
function own_gradient(arrays, arguments)
    f = own_function(arguments["source"], arguments["name"])
    return Base.invokelatest(own_gradient_of, f, arrays, arguments)
end

"`own_gradient` of the function itself, in a world that knows it."
function own_gradient_of(f, arrays, arguments)
    pick(part, names) = named(Dict(n => arrays["$part/$n"] for n in names), names)
    at = pick("at", arguments["at"])
    constants = pick("constants", arguments["constants"])
    tangent = pick("tangent", arguments["at"])
    g(x) = checked(f(; merge(x, constants)...))

    before = deepcopy(merge(at, constants))
    y = g(at)
    value = y isa Number ? y : copy(y)
    isequal(merge(at, constants), before) ||
        throw(ArgumentError("your Julia function changes its arguments; work on a copy"))
    w = y isa Number ? fill(one(y)) : get(arrays, "cotangent") do
        throw(DimensionMismatch("torch returned a number, Julia an array of size $(size(y))"))
    end
    size(w) == size(y) || throw(DimensionMismatch(
        "torch returned an array of shape $(size(w)), Julia one of size $(size(y))",
    ))

    out = Dict{String,Array}("value" => wrap(value))
    failures = Dict{String,Any}()
    seconds = Dict{String,Any}()
    for package in arguments["packages"]
        try
            gradients, seconds[task(package, arguments)] =
                timed(() -> own_vjp(Val(Symbol(package)), g, at, w))
            for name in keys(at)
                out["gradient/$package/$name"] = wrap(gradients[name])
            end
        catch failure
            failure isa InterruptException && rethrow()
            failures[package] = sprint(showerror, failure)
        end
    end
    try
        # Forward mode, so that it shares nothing with the reverse mode that it checks.
        out["jvp"] = wrap(ForwardDiff.derivative(t -> shift(g, at, tangent, t), zero(first(w))))
    catch failure
        failure isa InterruptException && rethrow()
        failures["jvp"] = sprint(showerror, failure)
    end
    return answered(arrays, out, "failures" => failures, "seconds" => seconds)
end

shift(g, at, tangent, t) = g(map((x, v) -> x .+ t .* v, at, tangent))

"The first package's gradient is the one that stands beside torch's."
task(package, arguments) = package == first(arguments["packages"]) ? "gradient" : "gradient/$package"

"`nothing`, Zygote's word for a gradient that is zero throughout, as zeros of the argument's shape."
filled(g, x::Number) = g === nothing ? zero(x) : g
filled(g, x::AbstractArray) = g === nothing ? zero(x) : reshape(collect(g), size(x))

"""
    own_vjp(package, g, at, w)

The derivatives of <w, g(x)> by each entry of the named tuple `x` at `at`, as a named tuple of the same
names and shapes; `package` is `Val(:zygote)`, `Val(:tracker)`, `Val(:forwarddiff)` or `Val(:reversediff)`.
"""
function own_vjp(::Val{:zygote}, g, at, w)
    y, back = Zygote.pullback(g, at)
    gradients, = back(y isa Number ? w[] : w)
    gradients === nothing && return map(zero, at)
    return NamedTuple(n => filled(get(gradients, n, nothing), at[n]) for n in keys(at))
end

function own_vjp(::Val{:tracker}, g, at, w)
    names = keys(at)
    results = Tracker.gradient((xs...) -> pairing(w, g(NamedTuple{names}(xs))), values(at)...)
    return NamedTuple(n => filled(Tracker.data(r), at[n]) for (n, r) in zip(names, results))
end

own_vjp(::Val{:forwarddiff}, g, at, w) = flat_vjp(ForwardDiff.gradient, g, at, w)
own_vjp(::Val{:reversediff}, g, at, w) = flat_vjp(ReverseDiff.gradient, g, at, w)

"ForwardDiff and ReverseDiff want one vector: all arguments one after the other."
function flat_vjp(gradient, g, at, w)
    flat = reduce(vcat, (vec(collect(x)) for x in values(at)))
    return split_like(gradient(v -> pairing(w, g(split_like(v, at))), flat), at)
end

"The vector's pieces in the shapes of the entries of the named tuple `at`."
function split_like(flat, at)
    ends = cumsum(length.(values(at)))
    return map(at, NamedTuple{keys(at)}(ends)) do x, stop
        part = flat[stop-length(x)+1:stop]
        x isa Number ? only(part) : reshape(part, size(x))
    end
end

"""
    timed(f)

`f()` and its seconds without compilation, from one call: a user's model may be expensive. Julia
counts its compilation only while it is asked to; questions may be nested.
"""
function timed(f)
    Base.cumulative_compile_timing(true)
    try
        compiling = first(Base.cumulative_compile_time_ns())
        seconds = @elapsed result = f()
        return result, max(seconds - (first(Base.cumulative_compile_time_ns()) - compiling) / 1e9, 0.0)
    finally
        Base.cumulative_compile_timing(false)
    end
end

"What goes back, with the hash of what was received."
answered(arrays, out, data...) =
    Answer(out, Dict{String,Any}("input_hash" => input_hash(arrays), data...))

include("mirrored.jl")
include("own_odes.jl")

SERVED["own_gradient"] = own_gradient
SERVED["mirrored"] = mirrored
SERVED["own_ode"] = own_ode

end
