# From a study's name to its answer.

"""
    Unavailable(reason)

In place of a value that cannot be given here.
"""
struct Unavailable
    reason::String
end

"""
A study as Julia answers it.

- `parts`: `name => (inputs, options) -> Dict of quantities`, in order; a crash in one costs that one.
- `tasks`: `(inputs, options) -> Dict of name => zero-argument function`, what is worth timing.
"""
struct StudyAnswer
    parts::Vector{Pair{String, Function}}
    tasks::Function
end
StudyAnswer(parts) = StudyAnswer(parts, (inputs, options) -> Dict{String, Function}())

const STUDIES = Dict{String, StudyAnswer}()

"""
    answer(study, inputs, options) -> Dict

All quantities of a study (`studies()` has the names): numbers, arrays, text, or `Unavailable`.
`inputs` are named arrays with NumPy's logical shapes, `options` the study's options by name; see
`example`. One that is missing is an `ArgumentError` that says which.
"""
function answer(study::AbstractString, inputs::AbstractDict, options::AbstractDict)
    found = Dict{String, Any}()
    for (_, part) in get_study(study).parts
        merge!(found, answered_part(study, part, inputs, options))
    end
    return found
end

"What one part of a study answers; a missing input or option is named, with what the study takes."
function answered_part(study, part, inputs, options)
    try
        return part(inputs, options)
    catch failure
        failure isa KeyError && failure.key isa AbstractString || rethrow()
        (haskey(inputs, failure.key) || haskey(options, failure.key)) && rethrow()
        throw(ArgumentError(missing_from(study, failure.key)))
    end
end

"Which inputs and options depends on the options: those of the example are what is certain."
function missing_from(study, key)
    (; inputs, options) = example(study)
    list(dictionary) = join(sort!(collect(keys(dictionary))), ", ")
    what = haskey(options, key) ? "option" : haskey(inputs, key) ? "input" : "input or option"
    return "the study $study needs the $what $(repr(key)), which is not there; it takes the options " *
           "$(list(options)), and with those of NumDLBridge.example($(repr(study))) the inputs " *
           list(inputs)
end

"The study of this name, or an `ArgumentError` that lists those that there are."
function get_study(name)
    haskey(STUDIES, name) && return STUDIES[name]
    throw(ArgumentError("no study called $(repr(name)) in Julia; there are " *
                        join(studies(), ", ")))
end

"""
    input_hash(inputs)

SHA-256 of what was received, from the arrays as they are used: for each name in sorted order
`name|dtype|d0,d1,...|`, then the elements in row-major order, little-endian. Equal to Python's
`studies.contract.input_hash` when every bit has arrived.
"""
function input_hash(inputs::AbstractDict)
    context = SHA.SHA256_CTX()
    for name in sort!(collect(keys(inputs)))
        array = inputs[name]
        shape = join(size(array), ",")
        SHA.update!(context, codeunits("$name|$(NAMES[eltype(array)])|$shape|"))
        rows = ndims(array) <= 1 ? array : permutedims(array, ndims(array):-1:1)
        SHA.update!(context, collect(reinterpret(UInt8, vec(rows))))
    end
    return bytes2hex(SHA.digest!(context))
end

# -- what Python calls --------------------------------------------------------------------------

"A study with the inputs that Julia keeps for it, and its tasks once they were asked for."
mutable struct Prepared
    name::String
    study::StudyAnswer
    inputs::Inputs
    options::Dict{String, Any}
    tasks::Union{Nothing, Dict{String, Function}}
end

const PREPARED = Dict{Int, Prepared}()
const LAST_KEY = Ref(0)

SERVED["prepare"] = function (inputs, arguments)
    study = get_study(arguments["study"])
    key = LAST_KEY[] += 1
    prepared = PREPARED[key] = Prepared(arguments["study"], study, inputs, arguments["options"], nothing)
    return Answer(Dict(), Dict("key" => key, "input hash" => input_hash(inputs),
                               "parts" => first.(study.parts),
                               "tasks" => sort!(collect(keys(tasks_of(prepared))))))
end

SERVED["answer"] = function (_, arguments)
    prepared = PREPARED[arguments["key"]]
    part = Dict(prepared.study.parts)[arguments["part"]]
    found = answered_part(prepared.name, part, prepared.inputs, prepared.options)
    arrays, labels, reasons = Dict{String, Any}(), Dict{String, Any}(), Dict{String, Any}()
    for (name, value) in found
        value isa Unavailable ? (reasons[name] = value.reason) :
        value isa AbstractString ? (labels[name] = value) : (arrays[name] = value)
    end
    return Answer(arrays, Dict("labels" => labels, "unavailable" => reasons,
                               "peak memory" => Int(Sys.maxrss())))
end

SERVED["sample"] = function (_, arguments)
    task = tasks_of(PREPARED[arguments["key"]])[arguments["task"]]
    return Answer(Dict(), Dict("seconds" => seconds_of(task, arguments["calls"])))
end

SERVED["drop"] = (_, arguments) -> (delete!(PREPARED, arguments["key"]); Answer(Dict()))

"The prepared study's tasks, made when they are first asked for."
function tasks_of(prepared)
    prepared.tasks === nothing && (prepared.tasks = answered_part(
        prepared.name, prepared.study.tasks, prepared.inputs, prepared.options))
    return prepared.tasks
end

"Seconds that `calls` calls of the task take together."
function seconds_of(task, calls)
    GC.gc(false)
    began = time_ns()
    for _ in 1:calls
        task()
    end
    return (time_ns() - began) / 1e9
end

# -- for studies -------------------------------------------------------------------------------

"A number that may be a 0-dimensional array, as NumPy's scalars arrive."
scalar(x::AbstractArray) = only(x)
scalar(x::Number) = x

"Stacked along a new first axis, as `torch.stack` does."
function by_run(arrays)
    list = collect(arrays)
    first(list) isa Number && return list
    return permutedims(stack(list), (ndims(first(list)) + 1, 1:ndims(first(list))...))
end

"Flattened row by row, as NumPy does."
row_major(x) = vec(permutedims(x, ndims(x):-1:1))

"log(cosh(x)) without overflow."
log_cosh(x) = abs(x) + log1p(exp(-2 * abs(x))) - log(oftype(x, 2))

"|x - exact| / |exact| in the Euclidean (Frobenius) norm."
relative(x, exact) = norm(x - exact) / norm(exact)
