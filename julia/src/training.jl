# Training the neural ODE with six gradients. Twin of engines/torch/training.py.

module Training

using LinearAlgebra
using Optimisers: Optimisers

using ..NumDLBridge: Fit, RULES_OF_2019, STUDIES, StudyAnswer, by_run, continuous_gradient, discrete_gradient,
                     neural_ode

const VARIANTS = ("rk4", "rk4_aligned", "backsolve/1e-7", "backsolve/1e-2", "reset/1e-7",
                  "interpolating/1e-7")
const TOLERANCES = Dict("1e-7" => (1e-7, 1e-9), "1e-2" => (1e-2, 1e-2))
const METHODS = Dict("backsolve" => :backsolve, "reset" => :reset, "interpolating" => :interpolation)
const ADAM = (eta = 0.1, beta = (0.9, 0.999), epsilon = 1e-8)
const THRESHOLDS = (100.0, 50.0, 25.0, 10.0, 5.0, 1.0, 0.5)
const WAYS = ("rk4", "backsolve/1e-7", "reset/1e-7", "interpolating/1e-7")
const REFERENCE_SUBSTEPS = 40
const AGREED = Dict("rk4" => 140, "rk4_aligned" => 100, "backsolve/1e-7" => 13)
const PARTED = 1e-3

"Sum of squares against the 30 data, observed at the data's times or on the published RK4 grid."
function training_fit(inputs; grid = :data)
    data = inputs["data"]
    times = grid === :data ? inputs["times"] :
            [j * inputs["h"][1] for j in 0:(size(data, 2) - 1)]
    return Fit(neural_ode, inputs["u0"], times, states -> sum((states - data) .^ 2))
end

"theta -> loss and gradient of one of the study's variants."
function gradient_of(variant, inputs)
    if variant == "rk4"
        published = training_fit(inputs; grid = :rk4)
        return theta -> discrete_gradient(published, theta)
    end
    fit = training_fit(inputs)
    variant == "rk4_aligned" && return theta -> discrete_gradient(fit, theta)
    variant == "reference" &&
        return theta -> discrete_gradient(fit, theta; substeps = REFERENCE_SUBSTEPS)
    method, tolerance = split(variant, "/")
    rtol, atol = TOLERANCES[tolerance]
    return theta -> continuous_gradient(fit, theta, METHODS[method]; rtol, atol, RULES_OF_2019...)
end

"""
`iterations` updates by Optimisers' Adam; a solve that breaks down ends the run and is an outcome. The
last finite loss then stands for the missing ones.
"""
function train(gradient, theta, iterations)
    state = Optimisers.setup(Optimisers.Adam(ADAM.eta, ADAM.beta, ADAM.epsilon), theta)
    losses, back, completed = eltype(theta)[], Vector{eltype(theta)}[], 0
    for k in 0:iterations
        found = gradient(theta)
        isfinite(found.loss) || break
        push!(losses, found.loss)
        all(isfinite, found.theta) || break
        found.back === nothing || push!(back, found.back)
        if k < iterations
            state, theta = Optimisers.update(state, theta, found.theta)
            completed += 1
        end
    end
    pad!(entries) = isempty(entries) ? entries :
                    append!(entries, fill(entries[end], iterations + 1 - length(entries)))
    return (; losses = pad!(losses), theta, back = pad!(back), completed)
end

"First index (from 0) with a loss below each threshold, -1 for never."
first_below(losses, thresholds = THRESHOLDS) =
    [something(findfirst(<(bound), losses), 0) - 1 for bound in thresholds]

"Last iteration up to which engines are compared."
agreed(variant, options) =
    min(options["dtype"] == "float64" ? AGREED[variant] : 1, options["iterations"])

"One variant, trained (where it is asked for): losses, final weights, back-integrated initial states."
function trained(variant, inputs, options)
    startswith(variant, "interpolating") && !options["interpolating"] && return Dict{String, Any}()
    run = train(gradient_of(variant, inputs), inputs["theta0"], options["iterations"])
    found = Dict{String, Any}("loss/$variant" => run.losses, "theta/$variant" => run.theta,
                              "completed/$variant" => run.completed,
                              "first_below/$variant" => first_below(run.losses))
    haskey(AGREED, variant) &&
        (found["loss/$variant/agreed"] = run.losses[1:(agreed(variant, options) + 1)])
    startswith(variant, "backsolve") && (found["inverse/$variant"] = by_run(run.back))
    return found
end

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
    return Dict{String, Any}(
        "parting/rk4" => something(findfirst(>(PARTED), abs.(losses[1] - plain)), 0) - 1,
        "ensemble/final" => [row[end] for row in losses],
        "ensemble/first_below_10" => [only(first_below(row, (10.0,))) for row in losses],
    )
end

training_tasks(inputs, options) = Dict{String, Function}(
    "gradient/$variant" => let gradient = gradient_of(variant, inputs)
        () -> gradient(inputs["theta0"]).theta
    end for variant in VARIANTS)

STUDIES["training"] = StudyAnswer(
    [[variant => (inputs, options) -> trained(variant, inputs, options) for variant in VARIANTS];
     ["gradients along the path" => along_the_path, "ensemble" => ensemble]],
    training_tasks,
)

end
