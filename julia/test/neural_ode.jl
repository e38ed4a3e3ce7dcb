# The neural ODE: published numbers, gradients three ways, training, and solves that break down.

"Cosine of the angle between two gradients."
cosine(g, r) = dot(g, r) / (norm(g) * norm(r))

@testset "the neural ODE's published numbers" begin
    (; inputs) = N.read_fixture(joinpath(N.FIXTURES, "gradient_test.bin"))
    fit, published = N.GradientTest.fits(inputs)
    theta = inputs["theta"][:, 1]
    g = N.discrete_gradient(published, theta)
    @test g.loss ≈ 1733.7891860 rtol = 1e-10
    @test dot(g.theta, inputs["d"]) ≈ 9461.948524 rtol = 1e-9
    @test N.discrete_gradient(fit, theta).loss ≈ 1823.628 atol = 5e-4
    # Step by step backward, and Zygote through all of them.
    for substeps in (1, 3)
        one, two = (way(fit, theta; substeps) for way in (N.discrete_gradient, N.whole_gradient))
        @test one.loss == two.loss && one.states == two.states
        @test one.theta ≈ two.theta rtol = 1e-14
        @test one.initial ≈ two.initial rtol = 1e-14
    end
    for method in (:backsolve, :reset, :interpolation, :checkpoints)
        g = N.continuous_gradient(fit, theta, method; rtol = 1e-7, atol = 1e-9)
        @test g.loss ≈ 1823.63969 rtol = 1e-7
        @test dot(g.theta, inputs["d"]) ≈ 9675.7575 rtol = 1e-6
    end
end

@testset "gradients of the neural ODE, each against the others" begin
    (; inputs, found) = ANSWERED["gradient_test"]
    @test found["gradient/rk4/forward/0"] ≈ found["gradient/rk4/0"] rtol = 1e-12
    @test found["gradient/rk4/eager/0"] ≈ found["gradient/rk4/0"] rtol = 1e-14
    reference = found["gradient/reference/0"]
    for method in N.GradientTest.METHODS
        @test found["gradient/$method/1e-7/0"] ≈ reference rtol = 1e-6
        @test cosine(found["gradient/$method/1e-7/0"], reference) > 0.9999
        @test cosine(found["gradient/$method/1e-2/0"], reference) > 0.9999
    end
    @test found["gradient/native/0"] ≈ reference rtol = 1e-6
    # The column that is published with the files of 1e-2 and of RK4.
    @test inputs["h"][1:3] == [1 / 2, 1 / 4, 1 / 8]
    @test found["E0/1e-3/0"][1:3] ≈ [3863.715338573592, 4528.7476490279005, 4428.7827534967355] rtol = 1e-8
    N.sciml_missing() === nothing && @testset "$sensealg" for sensealg in N.GradientTest.SENSEALGS
        @test found["gradient/sciml/$sensealg/0"] ≈ reference rtol = 1e-5
    end
    (; found) = ANSWERED["training"]
    for way in N.Training.WAYS
        @test first(found["cosine/$way"]) > 0.999
        way == "rk4" || @test first(found["cosine/$way"]) > 0.9999
    end
end

@testset "training" begin
    (; inputs, options, found) = ANSWERED["training"]
    n = options["iterations"]
    @test length(found["loss/today/1e-7"]) == n + 1 && found["completed/today/1e-7"] == n
    @test found["loss/today/1e-7"] ≈ found["loss/backsolve/1e-7"] rtol = 1e-5
    for sensealg in N.Training.SENSEALGS
        losses, completed = found["loss/sciml/$sensealg"], found["completed/sciml/$sensealg"]
        if N.sciml_missing() === nothing
            @test length(losses) == n + 1 && completed == n
            @test losses[1:2] ≈ found["loss/backsolve/1e-7"][1:2] rtol = 1e-5
        else
            @test losses isa N.Unavailable && completed isa N.Unavailable
        end
    end
    # Julia's own variants are for double precision, SciMLSensitivity's for those who ask.
    single, without = merge(options, Dict("dtype" => "float32")), merge(options, Dict("sciml" => false))
    @test isempty(N.Training.trained_today(N.Training.TODAY, inputs, single))
    @test isempty(N.Training.trained_by_sciml("gauss", inputs, single))
    @test isempty(N.Training.trained_by_sciml("gauss", inputs, without))
end

@testset "a run that breaks down" begin
    "A gradient whose solves break down from the k-th on."
    function until(k; loss)
        calls = Ref(0)
        return function (theta)
            broken = (calls[] += 1) > k
            broken && return (; loss, theta = NaN * theta, back = nothing, outcome = "backward: Unstable")
            return (; loss = 1.0 / calls[], theta, back = [2.0], outcome = "success")
        end
    end
    run = N.Training.train(until(3; loss = NaN), [1.0], 10)
    @test run.losses == [1, 1 / 2, 1 / 3] && run.completed == 3 && length(run.back) == 3
    @test run.outcome == "backward: Unstable"
    # A backward solve that breaks down has a loss, the last one.
    run = N.Training.train(until(3; loss = 7.0), [1.0], 10)
    @test run.losses == [1, 1 / 2, 1 / 3, 7] && run.completed == 3 && length(run.back) == 3
    run = N.Training.train(until(0; loss = NaN), [1.0], 10)
    @test N.Training.losses_of(run) == N.Unavailable("the first solve broke down: backward: Unstable")
    # What SciMLSensitivity throws is an outcome too.
    found = N.Training.sciml_outcome(nothing, [1.0], "nothing like it"; rtol = 1e-7, atol = 1e-9)
    @test isnan(found.loss) && found.outcome != "success"
end

@testset "adjoints that break down" begin
    "u' = theta u, not a number from the n-th evaluation on."
    function lasting(n)
        calls = Ref(0)
        return (t, u, theta) -> (calls[] += 1) > n ? NaN .* theta .* u : theta .* u
    end
    ask(n, method) = N.continuous_gradient(
        N.Fit(lasting(n), [1.0], [0.0, 0.5, 1.0], sum), [-1.0], method; rtol = 1e-6, atol = 1e-8)
    evaluations = ask(10^9, :checkpoints).forward.stats.nf
    for (n, method, what) in ((3, :backsolve, "forward: "), (evaluations, :backsolve, "backward: "),
                              (evaluations, :checkpoints, "forward again: "))
        g = quietly(() -> ask(n, method))
        @test startswith(g.outcome, what)
        @test all(isnan, g.theta) && all(isnan, g.initial)
    end
end
