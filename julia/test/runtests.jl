# Without Python: formalities first, then the bridge's own parts, then every study against closed
# forms, against what the referee proved (fixtures/, written by fixtures/make.py) and against itself.
# SciMLSensitivity's part is tested where that package was loaded before.

using LinearAlgebra
using NumDLBridge
using Test

const N = NumDLBridge

"Without the warnings of solvers that are meant to break down."
quietly(f) = Base.CoreLogging.with_logger(f, Base.CoreLogging.NullLogger())

@testset "NumDLBridge" begin
    include("formalities.jl")
    include("bridge.jl")
    include("integrators.jl")
    include("own_models.jl")
    include("studies.jl")
    include("opinions.jl")
    include("neural_ode.jl")
end
