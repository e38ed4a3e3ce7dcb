@testset "formalities" begin
    @test isempty(Test.detect_ambiguities(NumDLBridge; recursive = true))
    @test isempty(Test.detect_unbound_args(NumDLBridge; recursive = true))

    # Every named function of ours says what it does, or stands beside a twin that does.
    studies = Set(keys(N.STUDIES))
    fixtures = Set(chopsuffix(f, ".bin") for f in readdir(N.FIXTURES) if endswith(f, ".bin"))
    @test issubset(studies, fixtures)

    # Python sends data, never source text, except for the user's own models.
    @test all(f -> f isa Function, values(N.SERVED))
    @test issubset(("answer", "drop", "echo", "prepare", "sample"), keys(N.SERVED))
end
