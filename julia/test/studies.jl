"Every value in BigFloat (256 bits), integers and times as they are."
big_inputs(inputs) =
    Dict{String, Array}(k => eltype(v) <: AbstractFloat ? map(BigFloat, v) : v for (k, v) in inputs)

close_to(x::AbstractArray, y, rtol, atol) = norm(x - y) <= atol + rtol * max(norm(x), norm(y))
close_to(x::Number, y, rtol, atol) = close_to([x], vec(y), rtol, atol)

# What only the referee answers.
const KNOWN = Dict(
    "conditioning" => ["twins/proof"],
    "subgradient" => ["talk"; "clarke/" .* ["abs", "clamp", "hypot", "leaky_relu", "max", "maximum", "min",
                                            "norm1", "norm2", "norminf", "relu", "sqrt_square"]],
)

"Every study's inputs, options and answer, for the tests that follow."
const ANSWERED = Dict{String, Any}()

"Whether a quantity may be unavailable: SciMLSensitivity's, where that package is not loaded."
may_be_missing(name) = occursin("/sciml/", name) && N.sciml_missing() !== nothing

@testset "$study" for study in N.studies()
    (; inputs, options, expected, tolerances) = N.read_fixture(joinpath(N.FIXTURES, "$study.bin"))
    before = deepcopy(inputs)
    found = N.answer(study, inputs, options)
    ANSWERED[study] = (; inputs, options, found)
    @test isequal(inputs, before)
    # A quantity that was renamed, or that failed, does not drop out in silence.
    @test isempty(setdiff(keys(expected), keys(found), get(KNOWN, study, String[])))
    @test isempty([name for (name, x) in found if x isa N.Unavailable && !may_be_missing(name)])
    # Kinks are where packages answer differently; see below and the register of known differences.
    study == "subgradient" && continue
    @testset "$name" for name in sort!(collect(intersect(keys(expected), keys(found))))
        @test size(found[name]) == size(expected[name])
        @test close_to(found[name], expected[name], tolerances[name]...)
    end
end

@testset "oscillator, closed forms" begin
    (; inputs, options, found) = ANSWERED["oscillator"]
    h(stages) = 2π * stages ./ options["budgets"]
    n(stages) = options["periods"] .* options["budgets"] .÷ stages
    @test found["energy/error/rk4"] ≈ 1 .- (1 .- h(4) .^ 6 / 72 .+ h(4) .^ 8 / 576) .^ n(4) rtol = 1e-9
    @test found["energy/error/verlet"] ≈ h(1) .^ 2 / 4 rtol = 0.05
    @test found["inverse/verlet"] ≈ inputs["y0"] rtol = 1e-13
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
