# The other end of `numdl_bridge/engines/julia/worker_main.py`.

"""
    Answer(arrays, data = Dict())

What a served function returns: named arrays (or numbers), and plain data.
"""
struct Answer
    arrays::Dict{String, Any}
    data::Dict{String, Any}
end
Answer(arrays::AbstractDict, data::AbstractDict) =
    Answer(Dict{String, Any}(String(k) => v for (k, v) in arrays),
           Dict{String, Any}(String(k) => v for (k, v) in data))
Answer(arrays::AbstractDict) = Answer(arrays, Dict{String, Any}())

const Inputs = Dict{String, Array}

"Functions `(arrays, arguments) -> Answer` that Python may call, by name."
const SERVED = Dict{String, Function}()

const DTYPES = Dict{String, DataType}(
    "<f8" => Float64, "<f4" => Float32, "<f2" => Float16,
    "<i8" => Int64, "<i4" => Int32, "<i2" => Int16, "|i1" => Int8,
    "<u8" => UInt64, "<u4" => UInt32, "<u2" => UInt16, "|u1" => UInt8,
    "|b1" => Bool, "<c16" => ComplexF64, "<c8" => ComplexF32,
)
const NAMES = Dict{DataType, String}(T => name for (name, T) in DTYPES)

# What the last reply consists of: Python reads this memory until it calls again.
const KEPT = Ref{Any}(nothing)

"""
    serve(header_address, header_length, payload_address)

Answer one message that lies in Python's memory: MessagePack header, then arrays as raw bytes. Returns
the address of a block of words: header address, header bytes, number of arrays, then address and
bytes of each array. The memory stays valid until the next call. Never throws: what a served function
throws becomes an error message, and so does a message that cannot be read or an answer that cannot be
written.
"""
function serve(header_address::Integer, header_length::Integer, payload_address::Integer)
    source = unsafe_wrap(Array, Ptr{UInt8}(UInt(header_address)), Int(header_length))
    bytes, arrays = reply_to(source, UInt(payload_address))
    block = UInt64[pointer_to(bytes), length(bytes), length(arrays)]
    for array in arrays
        push!(block, pointer_to(array), sizeof(array))
    end
    KEPT[] = (bytes, arrays, block)
    return pointer_to(block)
end

pointer_to(array) = UInt64(UInt(pointer(array)))

"The header's bytes and the arrays of the reply; an unreadable message has no id to answer to: nothing."
function reply_to(source, payload)
    id = nothing
    try
        message = Wire.decode(source)
        id = message["id"]
        header, arrays = computed_reply(id, message["function"], message, payload)
        return Wire.encode(header), arrays
    catch failure
        return Wire.encode(error_reply(id, failure, catch_backtrace())), Array[]
    end
end

"What the served function returns, as header and arrays, with the seconds of each phase."
function computed_reply(id, function_name, message, payload)
    haskey(SERVED, function_name) || throw(ArgumentError(
        "no served function $(repr(function_name)); there are $(join(sort!(collect(keys(SERVED))), ", "))"))
    came_in = time_ns()
    inputs = Inputs(row[1] => received(payload, row) for row in message["arrays"])
    began = time_ns()
    Base.cumulative_compile_timing(true)
    compiled = first(Base.cumulative_compile_time_ns())
    answer = try
        # The function may have been defined a moment ago, from a user's source.
        Base.invokelatest(SERVED[function_name], inputs, message["arguments"])::Answer
    finally
        compiled = first(Base.cumulative_compile_time_ns()) - compiled
        Base.cumulative_compile_timing(false)
    end
    ended = time_ns()
    index, arrays = outgoing(answer.arrays)
    timings = Dict("conversion in" => (began - came_in) / 1e9, "kernel" => (ended - began) / 1e9,
                   "compilation" => compiled / 1e9, "conversion out" => (time_ns() - ended) / 1e9)
    header = Dict{String, Any}("kind" => "reply", "id" => id, "data" => answer.data,
                               "timings" => timings, "arrays" => index)
    return header, arrays
end

"""
An array of ours with the same logical indices as NumPy's. Row-major memory is column-major memory of
the reversed shape, so that C order costs one permutation and Fortran order one copy.
"""
function received(payload, row)
    _, dtype, shape, order, offset, _ = row
    T = DTYPES[dtype]
    dims = Tuple(Int.(shape))
    source = Ptr{T}(payload + offset)
    (order == "F" || length(dims) <= 1) && return copy(unsafe_wrap(Array, source, dims))
    return permutedims(unsafe_wrap(Array, source, reverse(dims)), length(dims):-1:1)
end

"Index and memory of what goes back, column-major as it lies."
function outgoing(values)
    index, arrays, offset = Any[], Array[], 0
    for (name, value) in values
        array = plain_array(name, value)
        push!(index, Any[name, NAMES[eltype(array)], collect(size(array)), "F", offset, sizeof(array)])
        push!(arrays, array)
        offset += sizeof(array) + mod(-sizeof(array), 64)
    end
    return index, arrays
end

# What crosses: an `Array` of one of NumPy's types; a number goes as a 0-dimensional one.
plain_array(name, x::Number) = plain_array(name, fill(x))
plain_array(name, x::Array{T}) where {T} = haskey(NAMES, T) ? x :
    throw(ArgumentError("result $(repr(name)) has elements of type $T, which do not cross"))
plain_array(name, x::AbstractArray) = plain_array(name, collect(x))
plain_array(name, x) = throw(ArgumentError(
    "result $(repr(name)) is $(typeof(x) === Nothing ? "nothing" : "a $(typeof(x))"), not a number or array"))

"The header that says what was thrown, and where."
function error_reply(id, failure, backtrace)
    failure isa LoadError && (failure = failure.error)
    message = try
        sprint(showerror, failure)
    catch
        string(typeof(failure))
    end
    return Dict{String, Any}("kind" => "error", "id" => id, "type" => string(nameof(typeof(failure))),
                             "message" => first(message, 4000), "where" => places(backtrace),
                             "arrays" => Any[])
end

"The innermost frames of a failure in what was called; Julia's own only where there are no others."
function places(backtrace)
    # A stack overflow has tens of thousands of frames; its end says nothing.
    frames = stacktrace(backtrace[1:min(end, 400)])
    outer = findfirst(frame -> basename(string(frame.file)) == "serve.jl", frames)
    inner = frames[1:(outer === nothing ? end : outer - 1)]
    named = [frame for frame in inner if frame.line > 0 && !frame.from_c]
    own = filter(frame -> !startswith(string(frame.file), "./"), named)
    chosen = isempty(own) ? named : own
    return unique("$(frame.func) at $(basename(string(frame.file))):$(frame.line)"
                  for frame in first(chosen, 8))
end

"What this process is: versions, threads, BLAS and CPU, read back from Julia and not assumed."
function facts()
    config = BLAS.get_config()
    libraries = join((basename(lib.libname) for lib in config.loaded_libs), ", ")
    project = Base.active_project()
    manifest = project === nothing ? nothing : Base.project_file_manifest_path(project)
    versions = Dict(string(key.name, ".jl") => string(pkgversion(loaded))
                    for (key, loaded) in Base.loaded_modules
                    if key.name in REPORTED && pkgversion(loaded) !== nothing)
    return merge(Dict{String, Any}(
        "NumDLBridge" => string(pkgversion(@__MODULE__)),
        "julia" => string(VERSION),
        "threads" => Threads.nthreads(),
        "blas" => libraries,
        "blas threads" => BLAS.get_num_threads(),
        "cpu" => Sys.cpu_info()[1].model,
        "cpu target" => Sys.CPU_NAME,
        "platform" => Sys.MACHINE,
        "optimisation" => Int(Base.JLOptions().opt_level),
        "check bounds" => Int(Base.JLOptions().check_bounds),
        "handles signals" => Base.JLOptions().handle_signals == 1,
        "manifest sha256" => manifest === nothing ? "none" : bytes2hex(open(sha256, manifest)),
    ), versions)
end

const REPORTED = ("DifferentialEquations", "OrdinaryDiffEq", "OrdinaryDiffEqCore", "OrdinaryDiffEqTsit5",
                  "OrdinaryDiffEqLowOrderRK", "OrdinaryDiffEqSymplecticRK", "SciMLSensitivity", "Flux",
                  "NNlib", "Zygote", "Tracker", "ForwardDiff", "ReverseDiff", "DiffRules", "ChainRules",
                  "Optimisers", "PythonCall")

SERVED["echo"] = (arrays, arguments) -> Answer(get(arguments, "back", true) ? arrays : Dict(), arguments)
SERVED["zeros"] = (_, arguments) -> Answer(Dict("zeros" => zeros(Int.(arguments["shape"])...)))
