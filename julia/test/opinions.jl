# Studies without the referee: two ways to the same number, and answers known from the literature or
# measured once. Uses the answers that studies.jl computed.

"The first package's derivative of the named case by itself, at each of its points."
function alone(case, package)
    (; inputs, found) = ANSWERED["subgradient"]
    x = found["subgradient/$case$package"]
    # Functions of numbers were asked alone and broadcast, in this order; those of vectors once.
    return ndims(inputs["x/$case"]) == 2 && size(x) == size(inputs["x/$case"]) ? x[:, 1] :
           ndims(x) == 3 ? x[1, :, 1] : x[1, :]
end

# Measured with Tracker 0.2.38, Zygote 0.7.12, ForwardDiff 1.4.5, ReverseDiff 1.16.2: at 0.0 and -0.0, at 1
# and -1 for `clamp`, at the tie of (0, 0), at a vector whose largest entries tie, at the vector zero.
const KINKS = (
    ("abs", "", [0.0, -0.0]), ("abs", "/tracker", [1.0, 1.0]),
    ("abs", "/forwarddiff", [1.0, -1.0]), ("abs", "/reversediff", [1.0, -1.0]),
    ("relu", "", [0.0, 0.0]), ("relu", "/tracker", [1.0, 1.0]),
    ("relu", "/forwarddiff", [1.0, 1.0]), ("relu", "/reversediff", [1.0, 1.0]),
    ("max", "", [0.0, 1.0]), ("max", "/tracker", [0.0, 1.0]),
    ("max", "/forwarddiff", [0.0, 1.0]), ("max", "/reversediff", [0.0, 1.0]),
    ("min", "", [1.0, 0.0]), ("min", "/tracker", [1.0, 0.0]),
    ("min", "/forwarddiff", [1.0, 0.0]), ("min", "/reversediff", [1.0, 0.0]),
    ("clamp", "", [1.0, 1.0]), ("leaky_relu", "", [0.01, 0.01]), ("sign", "", [0.0, 0.0]),
    ("sqrt", "", [Inf, -Inf]), ("sqrt", "/tracker", [Inf, -Inf]),
    ("sqrt", "/forwarddiff", [Inf, -Inf]), ("sqrt", "/reversediff", [Inf, -Inf]),
    ("sqrt_square", "", [NaN, NaN]), ("sqrt_square", "/tracker", [NaN, NaN]),
    ("sqrt_square", "/forwarddiff", [NaN, NaN]), ("sqrt_square", "/reversediff", [NaN, NaN]),
    ("maximum", "", [1.0, 0.0, 0.0]), ("maximum", "/tracker", [1.0, 0.0, 0.0]),
    ("norm1", "", [0.0, 0.0, 0.0]), ("norm2", "", [0.0, 0.0, 0.0]), ("norm2", "/tracker", [0.0, 0.0, 0.0]),
    ("norminf", "", [0.0, -1.0, 0.0]),
)

@testset "kinks" begin
    @test N.Subgradient.talk() === 1.0
    @testset "$case$package" for (case, package, answer) in KINKS
        @test isequal(alone(case, package), answer)
    end
end

@testset "forward and reverse mode" begin
    (; found) = ANSWERED["propagation"]
    for name in keys(N.Propagation.ARCHITECTURES)
        @test found["gradient/$name/forward"] ≈ found["gradient/$name/dot"] rtol = 1e-12
    end
    (; inputs, found) = ANSWERED["reversibility"]
    for net in ("rk4", "verlet")
        along = sum(dot(found["gradient/$net/$of"], inputs["d$(of)_$net"]) for of in ("K", "b"))
        @test found["gradient/$net/directional"] ≈ along rtol = 1e-12
    end
    @test found["gradient/verlet/K/recomputed"] ≈ found["gradient/verlet/K"] rtol = 1e-12
    (; found) = ANSWERED["oscillator"]
    for method in ("rk4", "verlet")
        @test found["gradient/$method/omega/sensitivity"] ≈ found["gradient/$method/omega"] rtol = 1e-11
    end
    # The system is linear and RK4 of its adjoint is the adjoint of its RK4.
    @test found["gradient/rk4/y0/adjoint"] ≈ found["gradient/rk4/y0"] rtol = 1e-12
    (; found) = ANSWERED["landscape"]
    for n in N.Landscape.SAMPLED
        @test found["gradient/N=$n/forward"] ≈ found["gradient/N=$n"] rtol = 1e-10
    end
    (; found) = ANSWERED["conditioning"]
    for m in N.Conditioning.WIDTHS, way in ("forward", "reverse")
        @test found["gradient/m=$m/$way"] ≈ found["gradient/m=$m"] rtol = 1e-12
    end
    (; found) = ANSWERED["classification"]
    @test found["gradient/forward"] ≈ found["gradient"] rtol = 1e-10
    @test maximum(found["adjoint test"]) < 1e-12
end

@testset "OrdinaryDiffEq's steps and ours" begin
    (; found) = ANSWERED["oscillator"]
    for method in ("forward_euler", "rk4", "symplectic_euler", "verlet")
        @test found["solution/$method/ordinarydiffeq"] ≈ found["solution/$method"] rtol = 1e-12
    end
end
