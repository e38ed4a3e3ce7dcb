# A torch module rebuilt in Flux. Its Python side is numdl_bridge/models/modules.py, and the source
# that arrives here is what `nb.mirror(module, x).source` shows.

"""
    mirrored(arrays, arguments)

Output, the output of every step, and the gradient of a loss with respect to every weight and input
of a mirrored module.

`arrays` holds `weight/<name>`, `input/<k>` and either `cotangent` (the loss is its inner product
with the output) or what `loss` names. `arguments` holds `source`, `paths` (weight name to the list
of fields that lead to it in the built model) and `loss` (Julia source of a function of the output,
or nothing). Returns `output`, `loss`, `step/<name>`, `gradient/<weight>`, `gradient of input/<k>`.
"""
function mirrored(arrays, arguments)
    sandbox, _ = evaluated(arguments["source"], "the mirrored module")
    loss = arguments["loss"] === nothing ? nothing : own_function(arguments["loss"])
    return Base.invokelatest(mirrored_of, sandbox, loss, arrays, arguments)
end

function mirrored_of(sandbox, loss, arrays, arguments)
    part(prefix) = Dict(chopprefix(k, prefix) => v for (k, v) in arrays if startswith(k, prefix))
    inputs = part("input/")
    x = Tuple(inputs[string(k)] for k in 0:length(inputs)-1)
    # Batch normalisation moves its running statistics, which must not be the arrays received.
    model = sandbox.build(deepcopy(part("weight/")))
    function objective(y)
        loss === nothing || return checked(loss(y))
        size(y) == size(arrays["cotangent"]) || throw(DimensionMismatch(
            "the mirrored module returned size $(size(y)), torch's output reversed has " *
            "$(size(arrays["cotangent"]))",
        ))
        return sum(arrays["cotangent"] .* y)
    end
    (value, steps, of_model, of_inputs), seconds =
        timed(() -> forward_and_back(sandbox, objective, model, x))

    out = Dict{String,Array}("output" => wrap(steps.output), "loss" => wrap(value))
    for (name, result) in pairs(steps)
        name !== :output && result isa AbstractArray{<:Real} && (out["step/$name"] = Array(result))
    end
    for (name, path) in arguments["paths"]
        out["gradient/$name"] = wrap(filled(follow(of_model, path), follow(model, path)))
    end
    for (k, input) in enumerate(x)
        eltype(input) <: AbstractFloat || continue
        found = of_inputs === nothing ? nothing : of_inputs[k]
        out["gradient of input/$(k - 1)"] = wrap(filled(found, input))
    end
    return answered(arrays, out, "seconds" => Dict{String,Any}("gradient" => seconds))
end

"""
Loss, the output of every step, and the gradients of the loss in the model and in its inputs: one pass
forward and one back, since a user's model may be expensive.
"""
function forward_and_back(sandbox, objective, model, x)
    (loss, steps), back = Zygote.pullback((m, x) -> loss_and_steps(sandbox, objective, m, x), model, x)
    return loss, steps, back((one(loss), nothing))...
end

function loss_and_steps(sandbox, objective, model, x)
    steps = sandbox.activations(model, x...)
    return objective(steps.output), steps
end

"The field of `x` at the end of a path; whole numbers count the entries of a tuple from zero."
function follow(x, path)
    for step in path
        x === nothing && return nothing
        number = tryparse(Int, step)
        x = number === nothing ? getproperty(x, Symbol(step)) : x[number+1]
    end
    return x
end
