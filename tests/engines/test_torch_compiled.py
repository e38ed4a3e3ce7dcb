"""Compiled functions equal the functions themselves, and what cannot be compiled says why."""

from __future__ import annotations

import subprocess
from collections import OrderedDict

import numpy as np
import pytest
import torch

from numdl_bridge.engines.torch import compiled, native_library
from numdl_bridge.engines.torch.compiled import build, kernel

A = torch.linspace(-1.7, 1.9, 6, dtype=torch.float64).reshape(2, 3)
B = torch.linspace(0.3, 2.1, 6, dtype=torch.float64).reshape(3, 2)
V = torch.tensor([0.4, -0.2, 1.1], dtype=torch.float64)

FUNCTIONS = {
    "products": lambda a, b, v: (a @ b, a @ v, v @ v, b.T @ v, torch.addmm(a @ b, a, b)),
    "pointwise": lambda a, b, v: (
        a.tanh() * b.T.exp() / (1 + a.abs()) - b.T.sqrt(),
        torch.sigmoid(a).log() + torch.sin(a) * torch.cos(a) - a.relu(),
    ),
    "powers": lambda a, b, v: (a**2, a**3, b**0.5, b**-1, b**2.7, b**-0.5, b**b),
    "bounds": lambda a, b, v: (
        a.clamp(-1.0, 0.5),
        torch.where(a > 0, a, 0.1 * a),
        torch.maximum(a, b.T),
        torch.minimum(a, b.T),
        (a > 0) & (a < 1),
        a.sign(),
    ),
    "reductions": lambda a, b, v: (
        a.sum(),
        a.mean(0),
        a.sum(1, keepdim=True),
        a.amax(1),
        a.amin(),
        (a**2).mean().sqrt(),
    ),
    "views": lambda a, b, v: (
        a.T.reshape(-1),
        a[:, 1:],
        a[0],
        a.unsqueeze(1) + v,
        a[None].expand(4, 2, 3) * 2,
        torch.cat([a, b.T]),
        torch.stack([v, 2 * v], 1),
        *v.unbind(),
        *a.split([1, 2], 1),
        a.reshape(3, 2).T.reshape(6)[::2],
        torch.diagonal(a @ b),
    ),
    "layers": lambda a, b, v: (
        torch.nn.functional.softplus(a),
        torch.nn.functional.gelu(a),
        torch.softmax(a, 1),
        torch.logsumexp(a, 0),
    ),
    "constants": lambda a, b, v: (
        torch.zeros_like(a) + 3,
        torch.ones(2, dtype=a.dtype) * 2,
        torch.full_like(v, 0.1) + v,
    ),
    "gradient": lambda a, b, v: torch.func.grad(lambda x: ((x @ b).tanh() ** 2).sum() / x[0, 1])(a),
    "in place": lambda a, b, v: in_place(a),
}


def in_place(a):
    out = torch.empty_like(a)
    out[0] = a[1] * 2
    out[1, :2] = a[0, 1:]
    out[1, 2] = 7.0
    return out


def assert_equal(got, expected, unit):
    got, expected = (v if isinstance(v, tuple) else (v,) for v in (got, expected))
    for g, e in zip(got, expected, strict=True):
        assert g.dtype == e.dtype
        assert g.shape == e.shape
        if e.is_floating_point():
            scale = float(e.abs().max())
            assert g.numpy() == pytest.approx(e.numpy(), rel=50 * unit, abs=20 * unit * scale)
        else:
            assert torch.equal(g, e)


needs_compiler = pytest.mark.skipif(native_library.compiler() is None, reason="no C compiler")


@needs_compiler
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["double", "single"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_native_equals_eager(name, dtype):
    args = tuple(x.to(dtype) for x in (A, B, V))
    found = build(FUNCTIONS[name], args, "native")
    assert found.backend == "native", found.reason
    other = tuple(x + 0.05 for x in args)  # not the arguments that it was made with
    assert_equal(found(*other), FUNCTIONS[name](*other), torch.finfo(dtype).eps)


@needs_compiler
def test_a_closed_over_tensor_outlives_its_owner():
    def make():
        weight = torch.full((3,), 2.0, dtype=torch.float64)
        return build(lambda a: weight * a, (V,), "native")

    found = make()
    found._watched.clear()
    rubbish = [torch.full((3,), float(i), dtype=torch.float64) for i in range(100)]
    assert torch.equal(found(V), 2 * V)
    assert len(rubbish) == 100


@pytest.mark.parametrize("backend", ["native", "script"])
def test_numbers_are_passed_in_double_precision(backend):
    def function(t, y):
        return y * (t - 1.0 / 3.0)

    y = torch.ones(2, dtype=torch.float64)
    found = build(function, (0.1, y), backend)
    assert found.backend == backend, found.reason
    assert torch.equal(found(0.7, y), function(0.7, y))


def test_script_equals_eager():
    found = build(FUNCTIONS["pointwise"], (A, B, V), "script")
    assert found.backend == "script"
    assert_equal(found(A, B, V), FUNCTIONS["pointwise"](A, B, V), 2.2e-16)


def test_nan_and_infinity_survive():
    def function(a):
        return a.relu(), a.tanh(), torch.maximum(a, torch.zeros_like(a)), a.amax(), 1 / a

    found = build(function, (V,))
    wild = torch.tensor([float("nan"), float("inf"), -0.0], dtype=torch.float64)
    for g, e in zip(found(wild), function(wild), strict=True):
        assert np.array_equal(g.numpy(), e.numpy(), equal_nan=True)


def test_falls_back_with_a_reason_where_an_operation_is_unknown():
    def function(a):
        return torch.linalg.eigvalsh(a @ a.T)

    found = build(function, (A,))
    assert found.backend == "script"
    assert "linalg_eigh" in found.reason
    assert_equal(found(A), function(A), 1e-14)


def test_falls_back_to_eager_where_the_data_decide():
    def function(a):
        return a * 2 if float(a.sum()) > 0 else a * 3

    found = build(function, (V,))
    assert found.backend == "eager"
    assert found.reason.startswith("not traceable")
    assert torch.equal(found(-V), -V * 3)


def test_falls_back_without_a_compiler(monkeypatch):
    monkeypatch.setattr(native_library, "compiler", lambda: None)
    found = build(FUNCTIONS["products"], (A, B, V))
    assert found.backend == "script"
    assert "no C compiler" in found.reason


def test_falls_back_where_the_compiler_fails(monkeypatch):
    def fail(command, **options):
        return subprocess.CompletedProcess(command, 1, "", "out of order\n")

    monkeypatch.setattr(native_library.subprocess, "run", fail)
    found = build(FUNCTIONS["products"], (A, B, V))
    assert found.backend == "script"
    assert "out of order" in found.reason


def test_falls_back_where_a_compiled_result_is_wrong(monkeypatch):
    wrong = compiled.compile_graph

    def off(graph, examples):
        fast = wrong(graph, examples)
        return lambda args: fast(args) * (1 + 1e-9)

    monkeypatch.setattr(compiled, "compile_graph", off)
    found = build(lambda a: a * 2, (V,))
    assert found.backend == "script"
    assert "differs" in found.reason


def test_runs_the_function_itself_for_gradients_other_shapes_and_vmap():
    found = build(lambda a: (a**2).sum(), (V,))
    x = V.clone().requires_grad_(True)
    (g,) = torch.autograd.grad(found(x), x)
    assert torch.equal(g, 2 * V)
    assert float(found(torch.ones(5, dtype=torch.float64))) == 5
    assert torch.equal(torch.func.vmap(found)(A), (A**2).sum(1))


def test_a_tensor_changed_in_place_is_noticed():
    weight = torch.ones(3, dtype=torch.float64)

    def function(a):
        return (2 * weight) * a

    found = build(function, (V,))
    assert found.backend != "eager"
    assert torch.equal(found(V), 2 * V)
    with torch.no_grad():
        weight += 1
    assert torch.equal(found(V), 4 * V)


def test_kernels_are_built_once_and_the_oldest_are_dropped(monkeypatch):
    monkeypatch.setattr(compiled, "_KERNELS", OrderedDict())
    monkeypatch.setattr(compiled, "KEPT_KERNELS", 3)

    def f(a):
        return a * 2

    first = kernel(f, ("f",), f, (V,), "eager")
    assert kernel(f, ("f",), f, (V,), "eager") is first
    assert kernel(f, ("f",), f, (A,), "eager") is not first
    assert kernel(f, ("g",), f, (V,), "eager") is not first
    assert kernel(f, ("f",), f, (V,), "eager") is first
    kernel(f, ("h",), f, (V,), "eager")
    assert len(compiled._KERNELS) == 3
    assert kernel(f, ("f",), f, (V,), "eager") is first
