"""The mirror without Julia: layouts, refusals, and the source that is written."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from numdl_bridge.models.mirror import CannotMirrorError, mirror
from numdl_bridge.models.mirror.table import mirror_layer

LAYERS = {
    "Linear": nn.Linear(3, 4),
    "Linear without bias": nn.Linear(3, 4, bias=False),
    "Bilinear": nn.Bilinear(3, 4, 5),
    "Embedding": nn.Embedding(7, 3),
    "Conv1d": nn.Conv1d(2, 4, 3),
    "Conv2d": nn.Conv2d(2, 4, (3, 5), groups=2),
    "Conv3d": nn.Conv3d(2, 4, 3),
    "ConvTranspose2d": nn.ConvTranspose2d(4, 2, 3),
    "BatchNorm2d": nn.BatchNorm2d(4),
    "InstanceNorm1d": nn.InstanceNorm1d(4, affine=True),
    "GroupNorm": nn.GroupNorm(2, 4),
    "LayerNorm": nn.LayerNorm((4, 3)),
    "RNN": nn.RNN(3, 4, num_layers=2),
    "GRU": nn.GRU(3, 4, num_layers=2),
    "LSTM": nn.LSTM(3, 4, num_layers=2),
    "MultiheadAttention": nn.MultiheadAttention(8, 2),
    "PReLU": nn.PReLU(),
}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS.keys())
def test_gradients_return_by_the_transpose_of_the_map_that_weights_took(layer: nn.Module) -> None:
    """<weights(p), g> = <p, gradients(g)>: the definition of a transpose, on random numbers."""
    rng = np.random.default_rng(1)
    layer = layer.double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.from_numpy(rng.standard_normal(parameter.shape)))
    twin = mirror_layer("layer", layer)
    cotangent = {n: rng.standard_normal(np.shape(twin.weights[n])) for n in twin.paths}
    forward = sum(np.vdot(twin.weights[n], cotangent[n]) for n in twin.paths)
    back = twin.gradients(cotangent)
    parameters = {n: p.detach().numpy() for n, p in layer.named_parameters()}
    assert {n: v.shape for n, v in back.items()} == {n: v.shape for n, v in parameters.items()}
    assert forward == pytest.approx(sum(np.vdot(parameters[n], back[n]) for n in back), rel=1e-13)


def test_every_kernel_is_flipped_once_in_every_spatial_axis() -> None:
    layer = nn.Conv2d(1, 1, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    # Flux's layout is (w, h): entry [i, j] of torch stands at [j, i], both flipped.
    expected = [[4.0, 2.0], [3.0, 1.0]]
    assert mirror_layer("c", layer).weights["weight"][:, :, 0, 0].tolist() == expected


class Skip(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + 0.5 * self.inner(x)) * self.scale


def test_skip_connections_reuse_names_without_hiding_julia_functions() -> None:
    source = mirror(Skip(), torch.zeros(2, 3)).source
    assert "relu_ = relu.(add_)" in source
    # A float literal must not promote Float32 to Float64.
    assert "eltype(inner_1)(0.5)" in source


@pytest.mark.parametrize(
    ("module", "named"),
    [
        (nn.Sequential(nn.Dropout(0.5)), "Dropout"),
        (nn.Sequential(nn.LSTM(3, 4, bidirectional=True)), "bidirectional"),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")), "reflect"),
        (nn.Sequential(nn.Linear(2, 2), nn.CosineSimilarity()), "CosineSimilarity"),
        (nn.Sequential(nn.Softmax()), "Softmax"),
    ],
)
def test_what_cannot_be_mirrored_says_so_by_name_with_a_remedy(
    module: nn.Module, named: str
) -> None:
    with pytest.raises(CannotMirrorError, match=named) as caught:
        mirror(module.train())
    assert caught.value.remedy


def test_control_flow_on_data_is_refused_and_named() -> None:
    class Branches(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(CannotMirrorError, match="Branches"):
        mirror(Branches(), torch.ones(2))


def test_tracing_an_example_leaves_running_statistics_alone() -> None:
    module = nn.Sequential(nn.BatchNorm1d(3))
    before = module[0].running_mean.clone()
    mirror(module, torch.randn(4, 3))
    assert torch.equal(module[0].running_mean, before)


def test_written_weights_are_julia_columns_in_the_order_of_the_index(tmp_path) -> None:
    module = nn.Sequential(nn.Linear(2, 3)).double()
    path = mirror(module, torch.zeros(1, 2, dtype=torch.float64)).write(tmp_path / "m.jl")
    text = path.read_text()
    assert '"0.weight" => (Float64, (3, 2)),' in text
    numbers = np.fromfile(tmp_path / "m.weights.bin")
    weight, bias = (p.detach().numpy() for p in module.parameters())
    assert numbers.tolist() == [*weight.ravel(order="F"), *bias]
