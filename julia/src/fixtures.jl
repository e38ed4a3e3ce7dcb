# Small inputs of every study, kept beside the package: for its tests, its precompilation, and for
# whoever wants to see what a study takes.

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

"""
    studies() -> Vector{String}

The names of the studies that `answer` knows, sorted.
"""
studies() = sort!(collect(keys(STUDIES)))

"""
    example(study) -> (; inputs, options)

Small inputs (named arrays) and options (by name) of a study, as `answer` takes them: those of the
package's tests. Change an option, or replace an array by one of yours of the same shape.

```julia
inputs, options = NumDLBridge.example("oscillator")
options["periods"] = 10
NumDLBridge.answer("oscillator", inputs, options)
```
"""
function example(study::AbstractString)
    get_study(study)
    (; inputs, options) = read_fixture(joinpath(FIXTURES, "$study.bin"))
    return (; inputs, options)
end
