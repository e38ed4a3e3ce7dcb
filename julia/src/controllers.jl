# Step size control of 2019. Twin of `DIFFEQ_2019` in engines/torch/controllers.py.

using OrdinaryDiffEqCore: OrdinaryDiffEqCore, get_EEst
using SciMLBase: SciMLBase

"""
The PI controller of OrdinaryDiffEq in August 2019, with which the talk's figures were made. Today's
`PIController` has the same exponents and limits, but lets the first step be followed by one 10000
times as long, and takes powers in single precision (`fastpower`), good to three digits.
"""
struct ControllerOf2019 <: OrdinaryDiffEqCore.AbstractController end

const LIMITS_OF_2019 = (; qmin = 0.2, qmax = 10.0, qmax_first_step = 10.0, gamma = 0.9)
const LEAST_OLD_ERROR = 1e-4

"""
What the controller remembers from one attempted step to the next: `q11`, the scaled error of this one
to the power beta1, `errold`, that of the last accepted step, and `EEst`, which the solver writes.
"""
mutable struct CacheOf2019{C, E} <: OrdinaryDiffEqCore.AbstractControllerCache
    controller::C
    q11::Float64
    errold::Float64
    EEst::E
end

function OrdinaryDiffEqCore.setup_controller_cache(alg, cache, ::ControllerOf2019, ::Type{E},
                                                   discontinuities) where {E}
    # Today's controller, for whoever asks the cache about limits.
    limits = OrdinaryDiffEqCore.resolve_basic(LIMITS_OF_2019, alg, Float64; disco_probs = discontinuities)
    return CacheOf2019((; basic = limits), 1.0, LEAST_OLD_ERROR, oneunit(E))
end

function OrdinaryDiffEqCore.stepsize_controller!(integrator, cache::CacheOf2019, alg)
    (; qmin, qmax, gamma) = LIMITS_OF_2019
    order = OrdinaryDiffEqCore.get_current_adaptive_order(alg, integrator.cache)
    beta1, beta2 = 7 / (10 * (order + 1)), 2 / (5 * (order + 1))
    scaled_error = Float64(get_EEst(integrator))
    iszero(scaled_error) && return inv(qmax)
    cache.q11 = scaled_error^beta1
    return clamp(cache.q11 / cache.errold^beta2 / gamma, inv(qmax), inv(qmin))
end

function OrdinaryDiffEqCore.step_accept_controller!(integrator, cache::CacheOf2019, alg, q)
    cache.errold = max(Float64(get_EEst(integrator)), LEAST_OLD_ERROR)
    return integrator.dt / q
end

function OrdinaryDiffEqCore.step_reject_controller!(integrator, cache::CacheOf2019, alg)
    (; qmin, gamma) = LIMITS_OF_2019
    return integrator.dt /= min(inv(qmin), cache.q11 / gamma)
end

function OrdinaryDiffEqCore.reinit_controller!(::SciMLBase.DEIntegrator, cache::CacheOf2019)
    cache.q11, cache.errold = 1.0, LEAST_OLD_ERROR
    return nothing
end

"What `solve` is given to choose its steps as in 2019."
const RULES_OF_2019 = (; controller = ControllerOf2019())
