"""
The studies of numdl-bridge answered in Julia.

One file a study, each beside its twin in PyTorch (`numdl_bridge/engines/torch/<study>.py`): same
names for the same things, the talk's notation, batch last. What studies share stands once:
`integrators.jl`, `networks.jl`, `adjoints.jl`. `answers.jl` finds a study by its name; `serve.jl` is
the end of the bridge to Python; `own_models.jl` evaluates a user's own functions.

Without Python:

```julia
using NumDLBridge
NumDLBridge.studies()                                   # "classification", "conditioning", ...
inputs, options = NumDLBridge.example("oscillator")     # small ones, to start from
found = NumDLBridge.answer("oscillator", inputs, options)
found["gradient/verlet/y0"]                             # dE/d(q0, p0), one column for each start
```

Gradients of a model of one's own, u' = f(t, u, theta), by discretising first or last:

```julia
fit = NumDLBridge.Fit((t, u, theta) -> theta .* u, [1.0, 2.0], [0.0, 0.5, 1.0], U -> sum(abs2, U))
NumDLBridge.discrete_gradient(fit, [-1.0, 0.5]).theta
NumDLBridge.continuous_gradient(fit, [-1.0, 0.5], :interpolation; rtol = 1e-8, atol = 1e-10).theta
```
"""
module NumDLBridge

using LinearAlgebra
using SHA: SHA, sha256

using ChainRulesCore: ChainRulesCore
using DifferentialEquations: DiscreteCallback, ODEProblem, Tsit5, derivative_discontinuity!, init, solve,
                             step!, successful_retcode
using Flux: Flux, Chain, Dense
using ForwardDiff: ForwardDiff
using PrecompileTools: @compile_workload
using ReverseDiff: ReverseDiff
using Tracker: Tracker
using Zygote: Zygote

# Nothing is exported: `NumDLBridge.answer` says where it is from. What is for users is `public`, a word
# that Julia parses from 1.11 on, hence the expression.
const PUBLIC = (:studies, :example, :answer, :Unavailable, :Fit, :Gradient, :discrete_gradient,
                :whole_gradient, :forward_gradient, :continuous_gradient, :sciml_gradient)
VERSION >= v"1.11" && eval(Expr(:public, PUBLIC...))

include("wire.jl")
include("serve.jl")
include("answers.jl")
include("fixtures.jl")
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
