# What a user hands in as source text, against derivatives that are known in closed form.

const O = N.OwnModels

data(arguments...) = Dict{String, Any}(arguments...)
arrays_of(pairs...) = N.Inputs(pairs...)

@testset "source text" begin
    text = "helper(x) = 2x\n(; x) -> helper(x)"
    f = O.own_function(text)
    @test Base.invokelatest(f; x = 3) == 6
    # The same function again: what was compiled for it is not compiled twice.
    @test O.own_function(text) === f
    @test O.own_function(text, "helper") === O.own_function(text, "helper")
    @test_throws "defines no `other`" O.own_function(text, "other")
    @test_throws "a function was expected" O.own_function("1 + 1")
    @test_throws LoadError O.own_function("(; x) -> (")
    mktempdir() do folder
        file = joinpath(folder, "part.jl")
        text = "include($(repr(file)))\nx -> part(x)"
        write(file, "part(x) = 1")
        @test Base.invokelatest(O.own_function(text), 0) == 1
        write(file, "part(x) = 2")  # an included file may change: evaluated again
        @test Base.invokelatest(O.own_function(text), 0) == 2
    end
end

@testset "own_gradient" begin
    A, x, v = [1.0 2.0; 3.0 4.0; 5.0 6.0], [0.5, -1.0], [1.0, 2.0]
    packages = ["zygote", "forwarddiff", "reversediff", "tracker"]
    arrays = arrays_of("at/x" => x, "constants/A" => A, "tangent/x" => v)
    question(source) = data("source" => source, "name" => nothing, "at" => ["x"], "constants" => ["A"],
                           "packages" => packages)
    found = O.own_gradient(arrays, question("(; x, A) -> sum(abs2, A * x)"))
    @test isempty(found.data["failures"])
    gradient = 2 * A' * A * x
    for package in packages
        @test found.arrays["gradient/$package/x"] ≈ gradient rtol = 1e-14
    end
    @test only(found.arrays["value"]) ≈ sum(abs2, A * x)
    @test only(found.arrays["jvp"]) ≈ gradient' * v rtol = 1e-14

    w = [1.0, -1.0, 2.0]
    arrays["cotangent"] = w
    found = O.own_gradient(arrays, question("(; x, A) -> A * x"))
    @test found.arrays["gradient/zygote/x"] ≈ A' * w
    @test found.arrays["jvp"] ≈ A * v

    constant = O.own_gradient(arrays_of(pairs(arrays)..., "cotangent" => fill(1.0)),
                              question("(; x, A) -> 1.0"))
    @test constant.arrays["gradient/zygote/x"] == zeros(2)
    @test_throws "changes its arguments" O.own_gradient(
        arrays, question("(; x, A) -> (x[1] = 0; sum(x))"))
    @test_throws "returned a Nothing" O.own_gradient(arrays, question("(; x, A) -> nothing"))
    @test_throws "Julia one of size (2,)" O.own_gradient(arrays, question("(; x, A) -> x"))
end

@testset "own_ode" begin
    # u' = p u: one step of RK4 multiplies by the Taylor polynomial of degree 4.
    source, u0, p, n = "(u, p, t) -> p[1] .* u", [1.0, -2.0], [-0.7], 40
    A, b, c = [0 0 0 0; 0.5 0 0 0; 0 0.5 0 0; 0 0 1.0 0], [1, 2, 2, 1] / 6, [0, 0.5, 0.5, 1]
    grid = collect(range(0.0, 2.0; length = n + 1))
    arrays = arrays_of("u0" => u0, "theta" => p, "grid" => grid, "A" => A, "b" => b, "c" => c,
                       "times" => grid[[1, end]], "marks" => [0, n], "cotangent" => [0 1; 0 0.0])
    adjoints = ["backsolve", "reset", "interpolation", "checkpoints"]
    question(mode, gradient = "forward") =
        data("source" => source, "name" => nothing, "loss" => nothing, "mode" => mode, "method" => "tsit5",
            "rtol" => 1e-10, "atol" => 1e-12, "gradient" => gradient,
            "sensitivities" => ["forward"; adjoints; "sciml/gauss"; "sciml/none"])
    aligned() = O.own_ode(arrays, question("aligned"))
    found = aligned().arrays
    z = p[1] * 2 / n
    growth = evalpoly(z, (1, 1, 1 / 2, 1 / 6, 1 / 24))
    slope = evalpoly(z, (1, 1, 1 / 2, 1 / 6)) * 2 / n
    @test found["solution"] ≈ [u0 growth^n * u0] rtol = 1e-14
    @test found["gradient/u0"] ≈ [growth^n, 0] rtol = 1e-13
    @test found["gradient/theta"] ≈ [n * growth^(n - 1) * slope * u0[1]] rtol = 1e-13
    @test found["gradient/theta/forward"] ≈ found["gradient/theta"] rtol = 1e-13
    @test found["round trip"] ≈ u0 rtol = 1e-6
    # Zygote must not generate its code again in every step, which took seconds and gigabytes.
    @test (@allocated aligned()) < 50_000_000
    # Nor keep more than one list of states.
    function memory(steps)
        long = copy(arrays)
        long["grid"], long["marks"] = collect(range(0.0, 2.0; length = steps + 1)), [0, steps]
        ask() = O.own_ode(long, merge(question("aligned"), data("sensitivities" => [])))
        ask()
        return @allocated ask()
    end
    @test memory(4000) < 5 * memory(1000)

    native = O.own_ode(arrays, question("native")).arrays
    @test native["solution"][:, 2] ≈ exp(2 * p[1]) * u0 rtol = 1e-9
    slope = [2 * exp(2 * p[1]) * u0[1]]
    @test native["gradient/theta"] ≈ slope rtol = 1e-8
    @test native["gradient/theta/forward"] == native["gradient/theta"]
    many = O.own_ode(arrays, question("native", "interpolation"))
    @test many.arrays["gradient/theta"] == many.arrays["gradient/theta/interpolation"]
    @test many.arrays["gradient/u0"] ≈ [exp(2 * p[1]), 0] rtol = 1e-8
    @testset "$name" for name in adjoints
        @test native["gradient/theta/$name"] ≈ slope rtol = 1e-8
    end
    if N.sciml_missing() === nothing
        @test native["gradient/theta/sciml/gauss"] ≈ slope rtol = 1e-8
    else
        @test occursin("SciMLSensitivity is not loaded", many.data["failures"]["sciml/gauss"])
    end
    @test haskey(many.data["failures"], "sciml/none")  # one that fails leaves the others
    # So does the native adjoint where it breaks down: p^2 has a derivative that is not finite.
    source = """
    using Zygote
    square(x) = x^2
    Zygote.@adjoint square(x) = x^2, d -> (NaN * d,)
    (u, p, t) -> square(p[1]) .* u
    """
    lost = quietly() do
        O.own_ode(arrays, merge(question("native", "interpolation"), data("source" => source)))
    end
    @test !haskey(lost.arrays, "gradient/theta") && !haskey(lost.arrays, "gradient/u0")
    @test startswith(lost.data["failures"]["gradient"], "backward: ")
    @test lost.arrays["gradient/theta/forward"] ≈ [4 * p[1] * exp(2 * p[1]^2) * u0[1]] rtol = 1e-8
    @test_throws "right-hand side returned size (1,)" O.own_ode(
        arrays, merge(question("aligned"), data("source" => "(u, p, t) -> u[1:1]")))
end

@testset "mirrored" begin
    source = """
    using Flux
    build(weights) = Flux.Dense(weights["weight"], weights["bias"])
    activations(model, x) = (; layer = model(x), output = model(x))
    """
    W, b, x, w = [1.0 2.0; 3.0 4.0], [0.5, -0.5], [1.0 0 2; -1 3 1], [1.0 2 3; 4 5 6]
    arrays = arrays_of("weight/weight" => W, "weight/bias" => b, "input/0" => x, "cotangent" => w)
    question = data("source" => source, "loss" => nothing,
                   "paths" => data("weight" => ["weight"], "bias" => ["bias"]))
    found = O.mirrored(arrays, question).arrays
    @test found["output"] == W * x .+ b
    @test found["gradient/weight"] ≈ w * x'
    @test found["gradient/bias"] ≈ vec(sum(w; dims = 2))
    @test found["gradient of input/0"] ≈ W' * w
end
