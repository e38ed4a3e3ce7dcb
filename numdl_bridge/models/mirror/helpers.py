"""Julia functions that a mirrored source carries where Flux has no exact twin."""

from __future__ import annotations

HELPERS: dict[str, str] = {
    "layernorm_eps": """\
# torch adds eps to the variance; Flux before 0.16.11 added its square (FluxML/Flux.jl#2701).
layernorm_eps(eps) = pkgversion(Flux) < v"0.16.11" ? sqrt(eps) : eps
""",
    "TorchGRUCell": """\
# torch multiplies the candidate's recurrent bias by the reset gate; Flux's GRU has no such bias.
struct TorchGRUCell{M,V}
    Wi::M
    Wh::M
    bi::V
    bh::V
end
Flux.@layer TorchGRUCell
Flux.initialstates(c::TorchGRUCell) = zero(c.Wh[1, :])
function (c::TorchGRUCell)(x, h)
    n = size(c.Wh, 2)
    gx, gh = c.Wi * x .+ c.bi, c.Wh * h .+ c.bh
    gate(g, k) = selectdim(g, 1, (k - 1) * n + 1:k * n)
    r = sigmoid.(gate(gx, 1) .+ gate(gh, 1))
    z = sigmoid.(gate(gx, 2) .+ gate(gh, 2))
    candidate = tanh.(gate(gx, 3) .+ r .* gate(gh, 3))
    h′ = (1 .- z) .* candidate .+ z .* h
    return h′, h′
end
""",
    "swap_last": """\
# (features, batch, length) to (features, length, batch) and back.
swap_last(x) = permutedims(x, (1, 3, 2))
""",
    "PReLU": """\
struct PReLU{V}
    slope::V
end
Flux.@layer PReLU
(p::PReLU)(x) = max.(x, 0) .+ p.slope .* min.(x, 0)
""",
}
