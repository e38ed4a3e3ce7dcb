# Training the neural ODE with six gradients, and with those of today's Julia packages. Twin of
# engines/torch/training.py.

module Training

using LinearAlgebra
using Optimisers: Optimisers

using ..NumDLBridge: Fit, RULES_OF_2019, STUDIES, StudyAnswer, Unavailable, by_run, continuous_gradient,
                     discrete_gradient, neural_ode, sciml_gradient, sciml_missing

const VARIANTS = ("rk4", "rk4_aligned", "backsolve/1e-7", "backsolve/1e-2", "reset/1e-7",
                  "interpolating/1e-7")
# Answered by Julia alone: the un-reset backsolve with today's step size control, and SciMLSensitivity.
const TODAY = "today/1e-7"
const SENSEALGS = ("backsolve", "checkpoints", "interpolating", "gauss")
const TOLERANCES = Dict("1e-7" => (1e-7, 1e-9), "1e-2" => (1e-2, 1e-2))
const METHODS = Dict("backsolve" => :backsolve, "reset" => :reset, "interpolating" => :interpolation)
const ADAM = (eta = 0.1, beta = (0.9, 0.999), epsilon = 1e-8)
const THRESHOLDS = (100.0, 50.0, 25.0, 10.0, 5.0, 1.0, 0.5)
const WAYS = ("rk4", "backsolve/1e-7", "reset/1e-7", "interpolating/1e-7")
const REFERENCE_SUBSTEPS = 40
const AGREED = Dict("rk4" => 140, "rk4_aligned" => 100, "backsolve/1e-7" => 17)
const PARTED = 1e-3
# Updates by the un-reset adjoint of SciMLSensitivity: soon after the published stretch its backward
# solves blow up, and each then takes all the steps that it may.
const UNRESET = 20

"Sum of squares against the 30 data, observed at the data's times or on the published RK4 grid."
function training_fit(inputs; grid = :data)
    data = inputs["data"]
    times = grid === :data ? inputs["times"] :
            [j * inputs["h"][1] for j in 0:(size(data, 2) - 1)]
    return Fit(neural_ode, inputs["u0"], times, states -> sum((states - data) .^ 2))
end

"theta -> loss and gradient of one of the variants."
function gradient_of(variant, inputs)
    if variant == "rk4"
        published = training_fit(inputs; grid = :rk4)
        return theta -> discrete_gradient(published, theta)
    end
    fit = training_fit(inputs)
    variant == "rk4_aligned" && return theta -> discrete_gradient(fit, theta)
    variant == "reference" &&
        return theta -> discrete_gradient(fit, theta; substeps = REFERENCE_SUBSTEPS)
    method, choice = split(variant, "/")
    rtol, atol = get(TOLERANCES, choice, TOLERANCES["1e-7"])
    method == "sciml" && return theta -> sciml_outcome(fit, theta, choice; rtol, atol)
    method == "today" && return theta -> continuous_gradient(fit, theta, :backsolve; rtol, atol)
    return theta -> continuous_gradient(fit, theta, METHODS[method]; rtol, atol, RULES_OF_2019...)
end

"SciMLSensitivity's gradient, in the form of ours. A solve that breaks down there may throw."
function sciml_outcome(fit, theta, sensealg; rtol, atol)
    try
        found = sciml_gradient(fit, theta, sensealg; rtol, atol)
        return (; found.loss, found.theta, back = nothing, outcome = "success")
    catch failure
        failure isa InterruptException && rethrow()
        return (; loss = oftype(first(theta), NaN), theta, back = nothing,
                outcome = first(sprint(showerror, failure), 200))
    end
end

"""
    train(gradient, theta, iterations) -> (; losses, theta, back, completed, outcome)

`iterations` updates by Optimisers' Adam. A solve that breaks down ends the run and is an outcome:
`losses` are those that were computed, at most iterations + 1 and all finite, `back` the initial states
that backward solves reconstructed, `completed` the number of updates.
"""
function train(gradient, theta, iterations)
    state = Optimisers.setup(Optimisers.Adam(ADAM.eta, ADAM.beta, ADAM.epsilon), theta)
    losses, back, completed, outcome = eltype(theta)[], Vector{eltype(theta)}[], 0, "success"
    for k in 0:iterations
        found = gradient(theta)
        broke = !isfinite(found.loss) || !all(isfinite, found.theta)
        broke && (outcome = found.outcome == "success" ? "a gradient that is not finite" : found.outcome)
        isfinite(found.loss) && push!(losses, found.loss)
        broke && break
        found.back === nothing || push!(back, found.back)
        if k < iterations
            state, theta = Optimisers.update(state, theta, found.theta)
            completed += 1
        end
    end
    return (; losses, theta, back, completed, outcome)
end

"First index (from 0) with a loss below each threshold, -1 for never."
first_below(losses, thresholds = THRESHOLDS) =
    [something(findfirst(<(bound), losses), 0) - 1 for bound in thresholds]

"Last iteration up to which engines are compared."
agreed(variant, options) =
    min(options["dtype"] == "float64" ? AGREED[variant] : 0, options["iterations"])

"One variant, trained (where it is asked for): losses, final weights, back-integrated initial states."
function trained(variant, inputs, options)
    startswith(variant, "interpolating") && !options["interpolating"] && return Dict{String, Any}()
    run = train(gradient_of(variant, inputs), inputs["theta0"], options["iterations"])
    found = Dict{String, Any}("loss/$variant" => losses_of(run), "theta/$variant" => run.theta,
                              "completed/$variant" => run.completed,
                              "first_below/$variant" => first_below(run.losses))
    haskey(AGREED, variant) && (found["loss/$variant/agreed"] = isempty(run.losses) ? losses_of(run) :
                                run.losses[1:min(end, agreed(variant, options) + 1)])
    startswith(variant, "backsolve") && (found["inverse/$variant"] = isempty(run.back) ?
        Unavailable("the first backward solve broke down") : by_run(run.back))
    return found
end

"The losses that were computed, or why there is none."
losses_of(run) = isempty(run.losses) ? Unavailable("the first solve broke down: $(run.outcome)") : run.losses

"A variant that only Julia has, in double precision: losses, and the updates before a solve broke down."
function trained_today(variant, inputs, options, iterations = options["iterations"])
    options["dtype"] == "float64" || return Dict{String, Any}()
    run = train(gradient_of(variant, inputs), inputs["theta0"], iterations)
    return Dict{String, Any}("loss/$variant" => losses_of(run), "completed/$variant" => run.completed)
end

"One of SciMLSensitivity's adjoints, where the option `sciml` asks for it and that package is loaded."
function trained_by_sciml(sensealg, inputs, options)
    variant, why = "sciml/$sensealg", sciml_missing()
    get(options, "sciml", true) && options["dtype"] == "float64" || return Dict{String, Any}()
    iterations = sensealg == "backsolve" ? min(options["iterations"], UNRESET) : options["iterations"]
    why === nothing && return trained_today(variant, inputs, options, iterations)
    return Dict{String, Any}("loss/$variant" => Unavailable(why), "completed/$variant" => Unavailable(why))
end

"All of them, for the package extension to compile."
with_sciml(inputs, options) = map(sensealg -> trained_by_sciml(sensealg, inputs, options), SENSEALGS)

"Gradients at the iterates of the published un-reset run, each against the reference."
function along_the_path(inputs, options)
    at = eachrow(inputs["iterates"])
    gradients(way) = [gradient_of(way, inputs)(collect(theta)).theta for theta in at]
    reference = gradients("reference")
    found = Dict{String, Any}("gradient/reference" => by_run(reference))
    for way in WAYS
        G = gradients(way)
        found["gradient/$way"] = by_run(G)
        found["cosine/$way"] = [dot(g, r) / (norm(g) * norm(r)) for (g, r) in zip(G, reference)]
        found["error/$way"] = [norm(g - r) / norm(r) for (g, r) in zip(G, reference)]
    end
    return found
end

"RK4 losses from perturbed starts, and where the first of them parts from the unperturbed one."
function ensemble(inputs, options)
    gradient, iterations = gradient_of("rk4", inputs), options["iterations"]
    losses = [train(gradient, inputs["perturbed"][i, :], iterations).losses
              for i in axes(inputs["perturbed"], 1)]
    plain = train(gradient, inputs["theta0"], iterations).losses
    # One of them may have ended early.
    both = 1:min(length(losses[1]), length(plain))
    return Dict{String, Any}(
        "parting/rk4" => something(findfirst(>(PARTED), abs.(losses[1][both] - plain[both])), 0) - 1,
        "ensemble/final" => [get(row, length(row), NaN) for row in losses],
        "ensemble/first_below_10" => [only(first_below(row, (10.0,))) for row in losses],
    )
end

training_tasks(inputs, options) = Dict{String, Function}(
    "gradient/$variant" => let gradient = gradient_of(variant, inputs)
        () -> gradient(inputs["theta0"]).theta
    end for variant in VARIANTS)

STUDIES["training"] = StudyAnswer(
    [[variant => (inputs, options) -> trained(variant, inputs, options) for variant in VARIANTS];
     [TODAY => (inputs, options) -> trained_today(TODAY, inputs, options)];
     ["sciml/$sensealg" => (inputs, options) -> trained_by_sciml(sensealg, inputs, options)
      for sensealg in SENSEALGS];
     ["gradients along the path" => along_the_path, "ensemble" => ensemble]],
    training_tasks,
)

end
