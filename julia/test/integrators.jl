@testset "integrators" begin
    # y' = -y + t has y = t - 1 + 2 exp(-t) from y(0) = 1.
    f(t, y) = -y .+ t
    exact(t) = t - 1 + 2exp(-t)
    error_of(step, n) = abs(only(N.final_state(step, f, [1.0], N.uniform_times(0.0, 1.0, n))) - exact(1.0))
    for (step, order) in ((N.forward_euler, 1), (N.rk2, 2), (N.rk4, 4))
        @test log2(error_of(step, 16) / error_of(step, 32)) ≈ order atol = 0.15
    end

    pendulum = ((t, p) -> p, (t, q) -> -sin.(q))
    function gap(step, n)
        reference = N.advance(N.verlet, pendulum, ([1.0], [0.0]), 0.0, 1 / 4096, 4096)
        q, p = N.advance(step, pendulum, ([1.0], [0.0]), 0.0, 1 / n, n)
        return abs(only(q - reference[1])) + abs(only(p - reference[2]))
    end
    for (step, order) in ((N.symplectic_euler, 1), (N.verlet, 2))
        @test log2(gap(step, 16) / gap(step, 32)) ≈ order atol = 0.15
    end
    # Leapfrog's p is half a step behind: started there by half a step back, it has order 2 too.
    function leapfrog_gap(n)
        p = [0.0] + sin.([1.0]) / (2n)
        reference = N.advance(N.verlet, pendulum, ([1.0], [0.0]), 0.0, 1 / 4096, 4096)
        q, _ = N.advance(N.leapfrog, pendulum, ([1.0], p), 0.0, 1 / n, n)
        return abs(only(q - reference[1]))
    end
    @test log2(leapfrog_gap(16) / leapfrog_gap(32)) ≈ 2 atol = 0.15
    # Two lines undone in reverse order.
    forward = N.advance(N.symplectic_euler, pendulum, ([1.0], [0.3]), 0.0, 0.1, 100)
    back = N.advance(N.undo_symplectic_euler, pendulum, forward, 0.0, 0.1, 100)
    @test back[1] ≈ [1.0] rtol = 1e-13
    @test back[2] ≈ [0.3] rtol = 1e-13
    # Verlet's inverse is Verlet with -h.
    forward = N.advance(N.verlet, pendulum, ([1.0], [0.3]), 0.0, 0.1, 100)
    back = N.advance(N.verlet, pendulum, forward, 0.0, -0.1, 100)
    @test back[1] ≈ [1.0] rtol = 1e-13
    @test N.integrate(N.verlet, pendulum, ([1.0], [0.3]), 0:0.1:10)[end][1] ≈ forward[1] rtol = 1e-12
    # RK4's step on y' = lambda y is its stability polynomial.
    z = 0.7
    @test only(N.rk4((t, y) -> y, 0.0, [1.0], z)) ≈ 1 + z + z^2 / 2 + z^3 / 6 + z^4 / 24 rtol = 1e-15

    @testset "precision" for T in (Float32, BigFloat)
        y = N.advance(N.rk4, (t, y) -> -y, T[1], 0.0, 0.125, 8)
        @test eltype(y) == T
        @test only(y) ≈ exp(T(-1)) rtol = 1e-5
    end
    @test_throws ArgumentError N.uniform_times(0.0, 1.0, 0)
end
