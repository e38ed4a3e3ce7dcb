# What Julia's packages answer at kinks. Twin of engines/torch/subgradient.py.

module Subgradient

using LinearAlgebra
using Flux: Flux
using ForwardDiff: ForwardDiff
using ReverseDiff: ReverseDiff
using Tracker: Tracker
using Zygote: Zygote

using ..NumDLBridge: STUDIES, StudyAnswer, Unavailable, scalar

"Every case by name, with its form, as in `studies/_subgradient_cases.py`."
kinks(slope) = (
    ("abs", :elementwise, abs),
    ("relu", :elementwise, Flux.relu),
    ("leaky_relu", :elementwise, x -> Flux.leakyrelu(x, slope)),
    ("clamp", :elementwise, x -> clamp(x, -1, 1)),
    ("sign", :elementwise, sign),
    ("sqrt", :elementwise, sqrt),
    ("sqrt_square", :elementwise, x -> sqrt(x * x)),
    ("where_sqrt", :elementwise, x -> x > 0 ? sqrt(x) : zero(x)),
    ("max", :binary, max),
    ("min", :binary, min),
    ("hypot", :binary, hypot),
    ("norm1", :vector, x -> norm(x, 1)),
    ("norm2", :vector, norm),
    ("norminf", :vector, x -> norm(x, Inf)),
    ("maximum", :vector, maximum),
)

"The talk's four lines, as printed."
function talk()
    x = Tracker.param(0.0)
    f = abs(x)
    Tracker.back!(f)
    return Tracker.data(Tracker.grad(x))
end

# One gradient of a function of several numbers or arrays, by each package. `nothing` is Zygote's word
# for a derivative that is zero throughout.
opinion(::Val{:zygote}, f, xs...) =
    map((g, x) -> g === nothing ? zero(x) : g, Zygote.gradient(f, xs...), xs)
opinion(::Val{:tracker}, f, xs...) = Tracker.data.(Tracker.gradient(f, xs...))
opinion(::Val{:forwarddiff}, f, x::Real) = (ForwardDiff.derivative(f, x),)
opinion(::Val{:forwarddiff}, f, x::AbstractVector) = (ForwardDiff.gradient(f, x),)
opinion(::Val{:forwarddiff}, f, xs...) = by_one_vector(ForwardDiff.gradient, f, xs)
opinion(::Val{:reversediff}, f, x::AbstractVector) = (ReverseDiff.gradient(f, x),)
opinion(::Val{:reversediff}, f, xs...) = by_one_vector(ReverseDiff.gradient, f, xs)

"ForwardDiff and ReverseDiff differentiate by one vector: the arguments one after the other."
function by_one_vector(gradient, f, xs::Tuple{Real, Vararg{Real}})
    return Tuple(gradient(v -> f((v[i] for i in eachindex(xs))...), collect(xs)))
end

function by_one_vector(gradient, f, xs::Tuple{AbstractVector, AbstractVector})
    n = length(first(xs))
    found = gradient(v -> f(v[1:n], v[(n + 1):2n]), vcat(xs...))
    return found[1:n], found[(n + 1):2n]
end

"The derivative at every point, in the shape of `studies.subgradient.shape`."
function ask(package, form, f, x)
    form === :vector &&
        return stack([only(opinion(package, f, x[:, i])) for i in axes(x, 2)])
    arguments = form === :binary ? (x[1, :], x[2, :]) : (x,)
    # By itself: a function of numbers, one call for each point.
    alone = [opinion(package, f, (a[i] for a in arguments)...) for i in axes(x, ndims(x))]
    together = opinion(package, (xs...) -> sum(f.(xs...)), arguments...)
    rows = (stack(collect.(alone)), permutedims(stack(collect(together))))
    found = permutedims(cat(rows...; dims = 3), (3, 1, 2))
    return form === :binary ? found : found[:, 1, :]
end

function subgradient(inputs, options)
    found = Dict{String, Any}("talk/tracker" => talk())
    for (name, form, f) in kinks(scalar(inputs["slope"]))
        x = inputs["x/$name"]
        for (package, suffix) in ((:zygote, ""), (:tracker, "/tracker"),
                                  (:forwarddiff, "/forwarddiff"), (:reversediff, "/reversediff"))
            found["subgradient/$name$suffix"] = try
                convert(Array{eltype(x)}, ask(Val(package), form, f, x))
            catch failure
                failure isa InterruptException && rethrow()
                Unavailable("$package raised: " * first(sprint(showerror, failure), 200))
            end
        end
    end
    return found
end

STUDIES["subgradient"] = StudyAnswer(["kinks" => subgradient])

end
