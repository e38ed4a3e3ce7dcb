@testset "MessagePack" begin
    value = Dict{String, Any}("text" => "θ ≤ 1", "none" => nothing, "flags" => Any[true, false],
                              "numbers" => Any[0, -1, 127, 128, -129, 2^40, -2^40, 1.5, -0.0, Inf],
                              "nested" => Dict{String, Any}("a" => Any[]), "long" => "x"^70_000)
    @test isequal(N.Wire.decode(N.Wire.encode(value)), value)
    # As Python's encoder writes it, with the shortest tags.
    @test N.Wire.decode(hex2bytes("82a16101a162cb3ff8000000000000")) == Dict("a" => 1, "b" => 1.5)
    @test N.Wire.decode(hex2bytes("93cd0400d1fc0ccaBfc00000")) == [1024, -1012, -1.5]
    @test N.Wire.decode(hex2bytes("c403010203")) == UInt8[1, 2, 3]
    @test_throws ArgumentError N.Wire.decode(hex2bytes("c1"))
    @test_throws ArgumentError N.Wire.decode(hex2bytes("0101"))
end

endless(n) = endless(n + 1) + 1

"What Python does: one message in, one out."
function ask(function_name, arguments = Dict(); rows = Any[], payload = UInt8[])
    bytes = N.Wire.encode(Dict("kind" => "call", "id" => 7, "function" => function_name,
                               "arguments" => arguments, "arrays" => rows))
    return answer_to(bytes, payload)
end

function answer_to(bytes, payload = UInt8[])
    GC.@preserve bytes payload begin
        block = N.serve(UInt(pointer(bytes)), length(bytes), UInt(pointer(payload)))
    end
    words = unsafe_wrap(Array, Ptr{UInt64}(block), 3)
    header = N.Wire.decode(copy(unsafe_wrap(Array, Ptr{UInt8}(words[1]), Int(words[2]))))
    words = unsafe_wrap(Array, Ptr{UInt64}(block), 3 + 2 * Int(words[3]))
    memory = [copy(unsafe_wrap(Array, Ptr{UInt8}(words[2 + 2k]), Int(words[3 + 2k])))
              for k in 1:Int(words[3])]
    return header, memory
end

@testset "messages" begin
    x = collect(1.0:6.0)
    payload = collect(reinterpret(UInt8, x))
    header, memory = ask("echo"; rows = Any[Any["x", "<f8", Any[2, 3], "C", 0, 48]], payload)
    @test header["kind"] == "reply" && header["id"] == 7
    @test only(header["arrays"])[2:4] == ["<f8", [2, 3], "F"]
    # Row-major [1 2 3; 4 5 6] has become column-major.
    @test reinterpret(Float64, only(memory)) == [1, 4, 2, 5, 3, 6]
    header, memory = ask("echo"; rows = Any[Any["x", "<f8", Any[2, 3], "F", 0, 48]], payload)
    @test reinterpret(Float64, only(memory)) == x
    header, _ = ask("nothing like it")
    @test header["kind"] == "error" && occursin("no served function", header["message"])

    N.SERVED["test"] = (_, arguments) -> arguments["what"] == "throw" ? sqrt(-1.0) :
                                         arguments["what"] == "overflow" ? endless(1) : nothing
    header, _ = ask("test", Dict("what" => "throw"))
    @test header["type"] == "DomainError"
    # Julia's own frames, those of `sqrt`, are left out.
    @test occursin("bridge.jl", first(header["where"]))
    header, _ = ask("test", Dict("what" => "overflow"))
    @test header["type"] == "StackOverflowError"
    header, _ = ask("test", Dict("what" => "no answer"))
    @test header["kind"] == "error"
    # What cannot be written is an error like any other, in the data as in the arrays.
    for answer in (N.Answer(Dict(), Dict("a" => 1 // 2)), N.Answer(Dict("a" => [1 // 2])))
        N.SERVED["test"] = (_, _) -> answer
        header, memory = ask("test")
        @test header["kind"] == "error" && header["id"] == 7 && isempty(memory)
        @test occursin("cross", header["message"])
    end
    delete!(N.SERVED, "test")
    # And so is what cannot be read.
    header, _ = answer_to(UInt8[0xc1])
    @test header["kind"] == "error" && header["id"] === nothing
    header, _ = answer_to(N.Wire.encode(Dict("id" => 7)))
    @test header["kind"] == "error" && header["id"] == 7
    @test_throws ArgumentError N.plain_array("x", [1 // 2])
    @test_throws ArgumentError N.plain_array("x", nothing)
end

@testset "input hash" begin
    # The value that Python's `input_hash` gives.
    inputs = Dict("a" => [1.0 2.0; 3.0 4.0; 5.0 6.0], "b" => fill(3.0), "c" => [1, 2])
    @test N.input_hash(inputs) == "5b0cda15e39e343fc012b07d2b4062170f0428556b573e83cb6d778eb3a11b4a"
    inputs["b"][] = nextfloat(3.0)
    @test N.input_hash(inputs) != "5b0cda15e39e343fc012b07d2b4062170f0428556b573e83cb6d778eb3a11b4a"
end

@testset "facts" begin
    facts = N.facts()
    @test facts["julia"] == string(VERSION)
    @test facts["threads"] == Threads.nthreads()
    @test haskey(facts, "Zygote.jl")
end
