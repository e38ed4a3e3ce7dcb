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
    sandbox = Module(:Mirrored)
    include_string(sandbox, arguments["source"], "the mirrored module")
    loss = arguments["loss"] === nothing ? nothing : own_function(arguments["loss"])
    return Base.invokelatest(mirrored_of, sandbox, loss, arrays, arguments)
end

function mirrored_of(sandbox, loss, arrays, arguments)
    part(prefix) = Dict(
        chopprefix(k, prefix) => v for (k, v) in arrays if startswith(k, prefix)
    )
    inputs = part("input/")
    x = Tuple(inputs[string(k)] for k in 0:length(inputs)-1)
    # Batch normalisation moves its running statistics: each use gets a model of its own.
    fresh() = sandbox.build(deepcopy(part("weight/")))
    objective(y) = loss === nothing ? sum(arrays["cotangent"] .* y) : checked(loss(y))

    steps = sandbox.activations(fresh(), x...)
    output = sandbox.forward(fresh(), x...)
    if loss === nothing && size(output) != size(arrays["cotangent"])
        throw(DimensionMismatch(
            "the mirrored module returned size $(size(output)), torch's output reversed has " *
            "$(size(arrays["cotangent"]))",
        ))
    end
    model = fresh()
    run() = Zygote.withgradient((m, x) -> objective(sandbox.forward(m, x...)), model, x)
    result = run()
    seconds = @elapsed run()
    of_model, of_inputs = result.grad
    out = Dict{String,Array}("output" => wrap(output), "loss" => wrap(result.val))
    for (name, value) in pairs(steps)
        value isa AbstractArray{<:Real} && (out["step/$name"] = Array(value))
    end
    for (name, path) in arguments["paths"]
        out["gradient/$name"] = wrap(filled(follow(of_model, path), follow(model, path)))
    end
    for (k, value) in enumerate(x)
        eltype(value) <: AbstractFloat || continue
        found = of_inputs === nothing ? nothing : of_inputs[k]
        out["gradient of input/$(k - 1)"] = wrap(filled(found, value))
    end
    return answered(arrays, out, "seconds" => seconds)
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
