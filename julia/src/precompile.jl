# Compiled when the package is: every study, small, so that a first live run need not wait for it.

const FIXTURES = joinpath(dirname(@__DIR__), "fixtures")

"""
    read_fixture(path) -> (; inputs, options, expected, tolerances)

A file in the format of the messages: a study's small inputs and options, and what the referee answers
with the (relative, absolute) tolerance of each quantity.
"""
function read_fixture(path)
    bytes = read(path)
    length(bytes) > 16 && bytes[1:4] == b"NDLB" || throw(ArgumentError("$path is not a fixture"))
    head = Int(reinterpret(UInt32, bytes[5:8])[1])
    message = Wire.decode(bytes[17:(16 + head)])
    payload = bytes[(17 + head):end]
    GC.@preserve payload begin
        address = UInt(pointer(payload))
        arrays = Inputs(row[1] => received(address, row) for row in message["arrays"])
    end
    pick(prefix) = Inputs(chopprefix(k, prefix) => v for (k, v) in arrays if startswith(k, prefix))
    return (; inputs = pick("inputs/"), options = message["options"], expected = pick("expected/"),
            tolerances = message["tolerances"])
end

# Julia 1.10.2 may crash when it loads an image as large as this one (in `must_be_new_dt`, restoring
# types); juliacall's own package asks for 1.10.3. There, each study compiles when it is first asked.
if VERSION >= v"1.10.3"
    @compile_workload begin
        for name in sort!(collect(keys(STUDIES)))
            path = joinpath(FIXTURES, "$name.bin")
            include_dependency(path)
            isfile(path) || continue
            (; inputs, options) = read_fixture(path)
            input_hash(inputs)
            prepared = Prepared(STUDIES[name], inputs, options, nothing)
            for (part, compute) in prepared.study.parts
                # A part that fails here fails again, with its message, when it is asked for.
                try
                    outgoing(filter(pair -> pair.second isa Union{Number, Array}, compute(inputs, options)))
                catch error
                    @warn "precompiling $name, $part" error
                end
            end
            foreach(task -> seconds_of(task, 1), values(tasks_of(prepared)))
        end
        bytes = Wire.encode(Dict("id" => 1, "function" => "echo", "arrays" => Any[],
                                 "arguments" => Dict{String, Any}("a" => Any[1, 2.0, "x", nothing])))
        GC.@preserve bytes serve(UInt(pointer(bytes)), length(bytes), UInt(0))
        KEPT[] = nothing
    end
end
