"Methods of a module and its submodules: also those of closures, and of functions with keywords."
function methods_of(m, seen = Set{Module}())
    m in seen && return Method[]
    push!(seen, m)
    found = Method[]
    for name in names(m; all = true)
        x = isdefined(m, name) ? getfield(m, name) : nothing
        x isa Module && parentmodule(x) === m && append!(found, methods_of(x, seen))
        # A closure's type has a name, its function has none.
        T = x isa Type && x <: Function ? x : x isa Function ? typeof(x) : x isa Type ? Type{x} : continue
        matches = Base._methods_by_ftype(Tuple{T, Vararg{Any}}, -1, Base.get_world_counter())
        append!(found, [match.method for match in something(matches, []) if match.method.module === m])
    end
    return unique(found)
end

"A variable that a nested function assigns to is boxed: slow, and often not what was meant."
boxes(method) = isdefined(method, :source) &&
    any(line -> occursin("Core.Box", string(line)), Base.uncompressed_ir(method).code)

"Public names of a module without a docstring."
undocumented(m, names) = filter(name -> !haskey(Base.Docs.meta(m), Base.Docs.Binding(m, name)), names)

module Careless
public_name() = 1
counted(xs) = (n = 0; foreach(x -> (n += x), xs); n)
end

@testset "formalities" begin
    @test isempty(Test.detect_ambiguities(NumDLBridge; recursive = true))
    @test isempty(Test.detect_unbound_args(NumDLBridge; recursive = true))

    @test isempty(undocumented(N, N.PUBLIC))
    @test undocumented(Careless, (:public_name,)) == (:public_name,)
    VERSION >= v"1.11" && @test issubset(N.PUBLIC, names(N))

    # Where a nested function has to assign to a variable outside, its name goes here.
    boxed = Symbol[]
    @test length(methods_of(N)) > 500
    @test isempty([m for m in methods_of(N) if boxes(m) && !(m.name in boxed)])
    @test [m.name for m in methods_of(Careless) if boxes(m)] == [:counted]

    # Every study has its fixture, and no fixture has lost its study.
    @test N.studies() == sort!([chopsuffix(f, ".bin") for f in readdir(N.FIXTURES) if endswith(f, ".bin")])

    # Python sends data, never source text, except for the user's own models: nothing is served that
    # does not take arrays and arguments.
    @test all(f -> hasmethod(f, Tuple{N.Inputs, Dict{String, Any}}), values(N.SERVED))
    @test issubset(("answer", "drop", "echo", "prepare", "sample"), keys(N.SERVED))
end

@testset "the example of the docstring" begin
    for block in eachmatch(r"```julia\n(.*?)```"s, string(@doc NumDLBridge))
        sandbox = Module(:Example)
        Core.eval(sandbox, :(using NumDLBridge))
        @test include_string(sandbox, block[1]) isa AbstractArray
    end
end

@testset "what an answer says that something is missing from" begin
    inputs, options = N.example("oscillator")
    @test_throws "no study called \"nothing like it\"" N.example("nothing like it")
    for (dictionary, key, what) in ((options, "budgets", "option"), (inputs, "h/4", "input"))
        kept = pop!(dictionary, key)
        @test_throws "the study oscillator needs the $what \"$key\"" N.answer("oscillator", inputs, options)
        dictionary[key] = kept
    end
    # A dictionary of its own, or an array too short, is another matter.
    fails(_, _) = Dict("a" => 1)["b"]
    @test_throws KeyError("b") N.answered_part("oscillator", fails, Dict("b" => 1), options)
end
