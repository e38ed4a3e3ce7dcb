"""What a user gets wrong with a module ends in one message, and nothing on stderr."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import numdl_bridge as nb
from numdl_bridge.errors import NumDLError


class Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 2)


class Mutates(Linear):
    def forward(self, x):
        return self.inner(x.mul_(2))


class ReturnsNothing(Linear):
    def forward(self, x):
        self.inner(x)


class ReturnsTwo(Linear):
    def forward(self, x):
        return self.inner(x), x


class Raises(Linear):
    def forward(self, x):
        raise ValueError("no such weather")


class MakesATensor(Linear):
    def forward(self, x):
        return self.inner(x + torch.rand(3, dtype=torch.float64))


class Branches(Linear):
    def forward(self, x):
        return self.inner(x if x.sum() > 0 else -x)


def linear(change=lambda weight: None) -> nn.Module:
    module = nn.Linear(3, 2).double()
    with torch.no_grad():
        change(module.weight)
    return module


def encoder() -> nn.Module:
    return nn.TransformerEncoderLayer(4, 2, dropout=0.0, batch_first=True).double()


X = torch.ones(4, 3, dtype=torch.float64)
NAN = torch.tensor([[1.0, float("nan"), 2.0]], dtype=torch.float64)

FAULTS = {
    "no input": (linear, (), "no inputs"),
    "NaN in an input": (linear, (NAN,), r"input 0 holds NaN or Inf at index \(0, 1\)"),
    "NaN in a weight": (
        lambda: linear(lambda w: w[0, 2].fill_(float("nan"))),
        (X,),
        r"parameter weight holds NaN or Inf at index \(0, 2\)",
    ),
    "an array": (linear, (X.numpy(),), "input 0 is of type ndarray"),
    "a list": (linear, (X.tolist(),), "input 0 is of type list"),
    "a function": (lambda: torch.tanh, (X,), "a torch.nn.Module"),
    "a class": (lambda: nn.ReLU, (X,), "the class ReLU"),
    "bfloat16": (lambda: linear().bfloat16(), (X.bfloat16(),), "torch.bfloat16"),
    "two precisions": (lambda: linear().float(), (X,), "different precision"),
    "integers": (linear, (X.long(),), "your module raised RuntimeError.*torch.int64"),
    "another shape": (linear, (X[:, :2],), r"your module raised RuntimeError.*\(4, 2\)"),
    "channels": (
        lambda: nn.Conv2d(3, 4, 3).double(),
        (torch.ones(1, 2, 5, 5, dtype=torch.float64),),
        "to have 3 channels, but got 2",
    ),
    "one sample in a batch": (lambda: nn.BatchNorm1d(3).double(), (X[:1],), "more than 1 value"),
    "too few inputs": (
        lambda: nn.MultiheadAttention(3, 1).double(),
        (X,),
        "missing 2 required positional arguments",
    ),
    "several results": (lambda: nn.MultiheadAttention(3, 1).double(), (X, X, X), "of 2 parts"),
    "a tuple": (lambda: ReturnsTwo().double(), (X,), "returned a tuple of 2 parts"),
    "nothing": (lambda: ReturnsNothing().double(), (X,), "returned a NoneType"),
    "raises": (lambda: Raises().double(), (X,), "your module raised ValueError: no such weather"),
    "changes its input": (lambda: Mutates().double(), (X,), "changes its input 0 in place"),
    "returns NaN": (lambda: nn.Sequential(nn.Softplus(beta=float("nan"))), (X,), "NaN or Inf"),
    "nothing to differentiate": (
        lambda: nn.Embedding(5, 3).double().requires_grad_(False),
        (torch.tensor([1, 2]),),
        "cut off from its parameters and inputs",
    ),
    "a tensor made in forward": (lambda: MakesATensor().double(), (X,), "register_buffer"),
    "branches": (lambda: Branches().double(), (X,), "what depends on the values of its input"),
    "scripted": (lambda: torch.jit.script(linear()), (X,), "the module that was scripted"),
    "traced": (lambda: torch.jit.trace(linear(), X), (X,), "the module that was scripted"),
    "compiled": (lambda: torch.compile(linear()), (X,), "compiled._orig_mod"),
    "parallel": (lambda: nn.DataParallel(linear()), (X,), "parallel.module"),
    "an encoder layer": (encoder, (torch.ones(1, 2, 4).double(),), "write out TransformerEncoder"),
}


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_module_or_input_gets_one_message(fault, capfd) -> None:
    build, inputs, named = FAULTS[fault]
    before = [x.clone() for x in inputs if isinstance(x, torch.Tensor)]
    with pytest.raises(NumDLError, match=named) as caught:
        nb.compare_module(build(), *inputs, julia_mode="off")
    assert caught.value.remedy
    assert capfd.readouterr().err == ""
    after = [x for x in inputs if isinstance(x, torch.Tensor)]
    assert all(
        torch.equal(
            a,
            b,
        )
        or b.isnan().any()
        for a, b in zip(after, before)
    )


@pytest.mark.parametrize(
    ("loss", "named"),
    [
        (lambda y: y.sum(), "loss of type function.*a pair"),
        ("y -> sum(y)", "loss of type str"),
        ((lambda y: y.sum(), ""), "loss of 2 parts"),
        ((lambda y: None, "y -> 0"), "your torch loss returned a NoneType"),
        ((lambda y: 1 / 0, "y -> 0"), "your torch loss raised ZeroDivisionError"),
        ((lambda y: y, "y -> 0"), r"shape \(4, 2\)"),
        ((lambda y: y.sum() * float("nan"), "y -> 0"), "your torch loss returned NaN"),
    ],
)
def test_a_faulty_loss_gets_one_message(loss, named) -> None:
    with pytest.raises(NumDLError, match=named):
        nb.compare_module(linear(), X, loss=loss, julia_mode="off")


def test_another_twin_than_a_mirror_is_refused() -> None:
    with pytest.raises(NumDLError, match="twin of type str"):
        nb.compare_module(linear(), X, twin="model.jl", julia_mode="off")


@pytest.mark.parametrize(
    ("build", "example", "named"),
    [
        (linear, X[:, :2], r"Sequential does not take this example.*\(4, 2\)"),
        (linear, X.numpy(), "an example of type ndarray"),
        (ReturnsNothing, None, "returns nothing"),
        (lambda: nn.ReLU, X, "the class ReLU"),
    ],
)
def test_a_faulty_example_for_the_mirror_gets_one_message(build, example, named, capfd) -> None:
    with pytest.raises(NumDLError, match=named):
        nb.mirror(build(), *([] if example is None else [example]))
    assert capfd.readouterr().err == ""


def test_a_mirror_is_not_written_where_there_is_no_folder(tmp_path) -> None:
    with pytest.raises(NumDLError, match=r"m\.jl cannot be written.*make the folder"):
        nb.mirror(linear(), X).write(tmp_path / "nowhere" / "m.jl")


def test_a_mirror_prints_in_one_line() -> None:
    twin = nb.mirror(nn.Linear(300, 200).double(), torch.ones(1, 300).double())
    assert repr(twin) == str(twin)
    assert "Linear: 1 layers, 60200 weights" in str(twin)
    assert len(str(twin)) < 150


def test_running_statistics_stay_where_they_were() -> None:
    module = nn.BatchNorm1d(3).double()
    nb.compare_module(module, X + torch.arange(4)[:, None], julia_mode="off")
    assert not module.running_mean.any()
    assert int(module.num_batches_tracked) == 0
