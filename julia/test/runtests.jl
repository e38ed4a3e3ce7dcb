# Without Python: formalities first, then the bridge's own parts, then every study against closed
# forms and against what the referee proved (fixtures/, written by fixtures/make.py).

using LinearAlgebra
using NumDLBridge
using Test

const N = NumDLBridge

@testset "NumDLBridge" begin
    include("formalities.jl")
    include("bridge.jl")
    include("integrators.jl")
    include("own_models.jl")
    include("studies.jl")
end
