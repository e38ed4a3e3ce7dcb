"""Compiling the steps of a solve: the loop stays in Python, each step becomes one call.

`kernel(f, name, function, examples)` traces a pure tensor function (`make_fx`: ATen operations,
`torch.func` transforms resolved) and returns it as fast as this machine can make it:

| backend | how | where |
| --- | --- | --- |
| `native` | one C function of plain loops (`native.py`) | CPU, small arrays, a C compiler at hand |
| `script` | the traced graph in the TorchScript interpreter | everywhere else |
| `eager` | the function itself | where it cannot be traced |

`auto` takes the first that works and remembers why the others did not (`Kernel.reason`). Whatever
is compiled is compared with the function itself on the examples before it is used, to a few units
in the last place of the largest entry.

The function must be pure: what it closes over is frozen when it is traced. Tensors among that are
watched, and once one of them was changed in place the function itself runs; numbers are not, so
pass in `theta` what changes. A compiled kernel is not differentiable; called with tensors that
require gradients under autograd, the function itself runs instead, and likewise for shapes or
dtypes other than those of the examples.
"""

from __future__ import annotations

import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .native import KEPT
from .native_code import UnsupportedError
from .native_library import compile_graph

Backend = Literal["auto", "native", "script", "eager"]


FURTHER = (
    *("gelu", "elu", "leaky_relu", "hardtanh", "log_sigmoid_forward", "logit", "_softmax"),
    *("_log_softmax", "hypot"),
)
"""Operations that PyTorch counts among the basic ones, but that have a decomposition."""


class Kernel:
    """A compiled function; call it like the function itself.

    **Arguments:**

    - `backend`: what it became; `reason`: why it did not become something faster, or `""`.
    - `seconds`: what tracing, compiling and checking cost; `began`: when (`time.perf_counter`).
    """

    def __init__(self, function: Callable[..., Any], examples: tuple[Any, ...]) -> None:
        self.function, self.backend, self.reason, self.seconds = function, "eager", "", 0.0
        self.began = time.perf_counter()
        self._fast: Callable[..., Any] | None = None
        self._shapes = [_signature(e) for e in examples]
        self._watched: list[tuple[Tensor, int]] = []

    def use(self, backend: str, fast: Callable[..., Any], closed: list[Tensor]) -> None:
        """Call `fast` from now on, until a tensor of `closed` is changed in place."""
        self.backend, self._fast = backend, fast
        self._watched = [(t, t._version) for t in closed]

    def __call__(self, *args: Any) -> Any:
        fast = self._fast
        if fast is None or not self._fits(args):
            return self.function(*args)
        return fast(args)

    def _fits(self, args: tuple[Any, ...]) -> bool:
        if len(args) != len(self._shapes):
            return False
        for tensor, version in self._watched:
            if tensor._version != version:
                return False
        graded = torch.is_grad_enabled()
        for value, expected in zip(args, self._shapes):
            if isinstance(value, Tensor):
                if expected is None or expected is float:
                    return False
                shape, dtype, device = expected
                if value.dtype is not dtype or value.shape != shape or value.device != device:
                    return False
                if graded and value.requires_grad:
                    return False
                if torch._C._functorch.is_functorch_wrapped_tensor(value):
                    return False
            elif expected is not None and not isinstance(value, int | float):
                return False
        return True


def _signature(value: Any) -> Any:
    if isinstance(value, Tensor):
        return (value.shape, value.dtype, value.device)
    return float if isinstance(value, int | float) else None


_KERNELS: OrderedDict[Any, Kernel] = OrderedDict()
KEPT_KERNELS = 128
_NOTED: list[list[Kernel]] = []


@contextmanager
def noting_kernels() -> Iterator[list[Kernel]]:
    """The kernels that are asked for inside, each once: provenance must say what was compiled."""
    noted: list[Kernel] = []
    _NOTED.append(noted)
    try:
        yield noted
    finally:
        _NOTED.pop()


def kernel(
    f: Callable[..., Any],
    name: tuple[Any, ...],
    function: Callable[..., Any],
    examples: tuple[Any, ...],
    backend: Backend = "auto",
) -> Kernel:
    """`function`, compiled for arguments like `examples`, once for each `f` and `name`.

    **Arguments:**

    - `f`: what the function is made of; `name` tells the functions made of one `f` apart. Both
      hashable: a function that is defined anew for each call is compiled anew for each call.
    - `examples`: tensors, numbers (passed as float64) and None (left out of the trace).

    The `KEPT_KERNELS` used last are kept.
    """
    key = (f, name, backend, tuple(_signature(e) for e in examples))
    found = _KERNELS.get(key)
    if found is None:
        found = _KERNELS[key] = build(function, examples, backend)
        while len(_KERNELS) > KEPT_KERNELS:
            _KERNELS.popitem(last=False)
    else:
        _KERNELS.move_to_end(key)
    for noted in _NOTED:
        if not any(k is found for k in noted):
            noted.append(found)
    return found


def build(
    function: Callable[..., Any], examples: tuple[Any, ...], backend: Backend = "auto"
) -> Kernel:
    """Compile without remembering. Never raises for what cannot be compiled: it falls back."""
    start = time.perf_counter()
    result = Kernel(function, examples)
    if backend != "eager":
        try:
            with _Closed(examples) as closed:
                expected = function(*examples)
            graph = _trace(function, examples)
        except Exception as error:
            result.reason = f"not traceable: {_first_line(error)}"
        else:
            wanted = ("native", "script") if backend == "auto" else (backend,)
            for choice in wanted:
                try:
                    make = compile_graph if choice == "native" else _script
                    fast = make(graph, examples)
                    _check(fast(examples), expected)
                except Exception as error:
                    result.reason = (result.reason + f"; {choice}: {_first_line(error)}").strip(
                        "; "
                    )
                else:
                    result.use(choice, fast, closed.tensors)
                    break
    result.seconds = time.perf_counter() - start
    return result


class _Closed(TorchDispatchMode):
    """Collects the tensors that a function reads and that are neither arguments nor results."""

    def __init__(self, examples: tuple[Any, ...]) -> None:
        super().__init__()
        self.tensors: list[Tensor] = []
        self._known: set[int] = set()
        self._kept: list[Any] = []  # so that no address is given out twice
        self._note(examples)

    def _note(self, values: Any) -> None:
        for value in tree_leaves(values):
            if isinstance(value, Tensor):
                self._kept.append(value)
                self._known.add(value.untyped_storage().data_ptr())

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for value in tree_leaves((args, kwargs)):
            if isinstance(value, Tensor):
                address = value.untyped_storage().data_ptr()
                if address not in self._known:
                    self._known.add(address)
                    self.tensors.append(value)
        result = op(*args, **(kwargs or {}))
        self._note(result)
        return result


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _trace(function: Callable[..., Any], examples: tuple[Any, ...]) -> fx.GraphModule:
    """The graph of `function` of the examples that are not None, numbers as float64 tensors."""
    from torch._decomp import core_aten_decompositions, get_decompositions

    further = get_decompositions([getattr(torch.ops.aten, n) for n in FURTHER])
    table = {
        op: rule
        for op, rule in {**core_aten_decompositions(), **further}.items()
        if getattr(op, "overloadpacket", op).__name__ not in KEPT
    }
    inputs = _tensors(examples)

    def of_tensors(*tensors: Tensor) -> Any:
        given = iter(tensors)
        return function(*(None if e is None else next(given) for e in examples))

    pure = torch.func.functionalize(of_tensors, remove="mutations")
    with torch.no_grad():
        graph = make_fx(pure, decomposition_table=table)(*inputs)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def _tensors(args: tuple[Any, ...]) -> list[Tensor]:
    return [
        a.detach() if isinstance(a, Tensor) else torch.tensor(float(a), dtype=torch.float64)
        for a in args
        if a is not None
    ]


def _check(got: Any, expected: Any) -> None:
    """Equal up to rounding, relative to the largest number among all results."""
    got, expected = (v if isinstance(v, tuple | list) else (v,) for v in (got, expected))
    numbers = [e[e.isfinite()] for e in expected if e.is_floating_point()]
    largest = max((float(n.abs().max()) for n in numbers if n.numel()), default=0.0)
    for g, e in zip(got, expected, strict=True):
        if g.shape != e.shape or g.dtype != e.dtype:
            raise UnsupportedError(
                f"compiled {tuple(g.shape)} {g.dtype} for {tuple(e.shape)} {e.dtype}"
            )
        unit = torch.finfo(e.dtype).eps if e.is_floating_point() else 0.0
        atol = 1e3 * unit * largest
        if not torch.allclose(g, e, rtol=1e3 * unit, atol=atol, equal_nan=True):
            raise UnsupportedError("compiled result differs from the function's own")


def _script(graph: fx.GraphModule, examples: tuple[Any, ...]) -> Callable[..., Any]:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(graph, tuple(_tensors(examples)), check_trace=False)

    def run(args: tuple[Any, ...]) -> Any:
        with torch.no_grad():
            return traced(*_tensors(args))

    return run
