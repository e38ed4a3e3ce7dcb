"""
The studies of numdl-bridge answered in Julia.

One file a study, each beside its twin in PyTorch (`numdl_bridge/engines/torch/<study>.py`): same
names for the same things, the talk's notation, batch last. What studies share stands once:
`integrators.jl`, `networks.jl`, `adjoints.jl`. `answers.jl` finds a study by its name; `serve.jl` is
the end of the bridge to Python; `own_models.jl` evaluates a user's own functions.

Without Python: `NumDLBridge.answer("oscillator", inputs, options)`.
"""
module NumDLBridge

using LinearAlgebra
using SHA: SHA, sha256

using DifferentialEquations
using Flux: Flux, Chain, Dense
using ForwardDiff: ForwardDiff
using OrdinaryDiffEqLowOrderRK: BS3, DP5, Euler, Midpoint, RK4
using PrecompileTools: @compile_workload
using ReverseDiff: ReverseDiff
using Tracker: Tracker
using Zygote: Zygote

include("wire.jl")
include("serve.jl")
include("answers.jl")
include("integrators.jl")
include("networks.jl")
include("controllers.jl")
include("adjoints.jl")
include("own_models.jl")

# The studies, in the order of the talk.
include("subgradient.jl")
include("propagation.jl")
include("reversibility.jl")
include("oscillator.jl")
include("gradient_test.jl")
include("training.jl")
include("landscape.jl")
include("conditioning.jl")
include("classification.jl")

include("precompile.jl")

end
