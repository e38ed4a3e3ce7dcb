"Every value in BigFloat (256 bits), integers and times as they are."
big_inputs(inputs) = Dict{String, Array}(k => eltype(v) <: AbstractFloat ? map(BigFloat, v) : v for (k, v) in inputs)

close_to(x::AbstractArray, y, rtol, atol) = norm(x - y) <= atol + rtol * max(norm(x), norm(y))
close_to(x::Number, y, rtol, atol) = close_to([x], vec(y), rtol, atol)

@testset "$study" for study in sort!(collect(keys(N.STUDIES)))
    (; inputs, options, expected, tolerances) = N.read_fixture(joinpath(N.FIXTURES, "$study.bin"))
    before = deepcopy(inputs)
    found = N.answer(study, inputs, options)
    @test isequal(inputs, before)
    # Kinks are where packages answer differently; see below and the register of known differences.
    study == "subgradient" && continue
    @testset "$name" for name in sort!(collect(intersect(keys(expected), keys(found))))
        found[name] isa N.Unavailable && continue
        @test size(found[name]) == size(expected[name])
        @test close_to(found[name], expected[name], tolerances[name]...)
    end
end

@testset "Tracker's answer" begin
    @test N.Subgradient.talk() === 1.0
    zygote(f, x) = only(N.Subgradient.opinion(Val(:zygote), f, x))
    @test zygote(abs, 0.0) == 0
    @test zygote(N.Flux.relu, 0.0) == 0
    @test only(N.Subgradient.opinion(Val(:forwarddiff), abs, -0.0)) == -1
end

@testset "oscillator, closed forms" begin
    (; inputs, options) = N.read_fixture(joinpath(N.FIXTURES, "oscillator.bin"))
    found = N.answer("oscillator", inputs, options)
    h(stages) = 2π * stages ./ options["budgets"]
    n(stages) = options["periods"] .* options["budgets"] .÷ stages
    @test found["energy/error/rk4"] ≈ 1 .- (1 .- h(4) .^ 6 / 72 .+ h(4) .^ 8 / 576) .^ n(4) rtol = 1e-9
    @test found["energy/error/verlet"] ≈ h(1) .^ 2 / 4 rtol = 0.05
    @test found["inverse/verlet"] ≈ inputs["y0"] rtol = 1e-13
    @test found["solution/rk4/ordinarydiffeq"] ≈ found["solution/rk4"] rtol = 1e-12
end

@testset "256 bits against the referee's digits" begin
    # The same source, another number type: what is left is the rounding of the fixture to doubles.
    (; inputs, options, expected) = N.read_fixture(joinpath(N.FIXTURES, "oscillator.bin"))
    found = N.Oscillator.oscillator_states(big_inputs(inputs), options)
    for name in intersect(keys(found), keys(expected))
        @test norm(found[name] - expected[name]) <= 1e-15 * norm(expected[name])
    end
    (; inputs, options, expected) = N.read_fixture(joinpath(N.FIXTURES, "propagation.bin"))
    found = N.Propagation.networks(big_inputs(inputs), options)
    for (name, value) in found
        startswith(name, "taylor") && continue
        @test norm(value .- expected[name]) <= 1e-15 * norm(expected[name])
    end
end

@testset "the neural ODE's published numbers" begin
    (; inputs) = N.read_fixture(joinpath(N.FIXTURES, "gradient_test.bin"))
    fit, published = N.GradientTest.fits(inputs)
    theta = inputs["theta"][:, 1]
    g = N.discrete_gradient(published, theta)
    @test g.loss ≈ 1733.7891860 rtol = 1e-10
    @test dot(g.theta, inputs["d"]) ≈ 9461.948524 rtol = 1e-9
    @test N.discrete_gradient(fit, theta).loss ≈ 1823.628 atol = 5e-4
    for method in (:backsolve, :reset, :interpolation, :checkpoints)
        g = N.continuous_gradient(fit, theta, method; rtol = 1e-7, atol = 1e-9)
        @test g.loss ≈ 1823.63969 rtol = 1e-7
        @test dot(g.theta, inputs["d"]) ≈ 9675.7575 rtol = 1e-6
    end
end
