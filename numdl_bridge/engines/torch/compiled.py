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

The function must be pure: numbers that it closes over are frozen when it is traced (tensors that it
closes over are read anew at each call, so weights may be updated in place). A compiled kernel is
not differentiable; called with tensors that require gradients under autograd, the function itself
runs instead, and likewise for shapes or dtypes other than those of the examples.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
import time
import warnings
import weakref
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from .native import (
    CTYPES,
    KEPT,
    Generator,
    Unsupported,
    Value,
    buffer_value,
    element_of,
    is_pointwise,
)

Backend = Literal["auto", "native", "script", "eager"]

# -ffp-contract=off: a fused multiply-add would round differently from PyTorch's two operations.
FLAGS = ("-O2", "-ftree-vectorize", "-march=native", "-ffp-contract=off", "-fno-math-errno")
PREAMBLE = "#include <tgmath.h>\n"
COMPILE_SECONDS = 60


class Kernel:
    """A compiled function; call it like the function itself.

    **Arguments:**

    - `backend`: what it became; `reason`: why it did not become something faster, or `""`.
    - `seconds`: what tracing, compiling and checking cost.
    """

    def __init__(self, function: Callable[..., Any], examples: tuple[Any, ...]) -> None:
        self.function, self.backend, self.reason, self.seconds = function, "eager", "", 0.0
        self._fast: Callable[..., Any] | None = None
        self._shapes = [_signature(e) for e in examples]

    def use(self, backend: str, fast: Callable[..., Any]) -> None:
        self.backend, self._fast = backend, fast

    def __call__(self, *args: Any) -> Any:
        fast = self._fast
        if fast is None or not self._fits(args):
            return self.function(*args)
        return fast(args)

    def _fits(self, args: tuple[Any, ...]) -> bool:
        if len(args) != len(self._shapes):
            return False
        graded = torch.is_grad_enabled()
        for value, expected in zip(args, self._shapes):
            if isinstance(value, Tensor):
                if (value.shape, value.dtype, value.device) != expected:
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


_KERNELS: weakref.WeakKeyDictionary[Any, dict[Any, Kernel]] = weakref.WeakKeyDictionary()


def kernel(
    f: Callable[..., Any],
    name: tuple[Any, ...],
    function: Callable[..., Any],
    examples: tuple[Any, ...],
    backend: Backend = "auto",
) -> Kernel:
    """`function`, compiled for arguments like `examples`, once for each `f` and `name`.

    **Arguments:**

    - `f`: what the function is made of; the kernel is kept as long as `f` lives.
    - `name`: tells the functions made of one `f` apart (hashable).
    - `examples`: tensors, numbers (passed as float64) and None (left out of the trace).
    """
    key = (name, backend, tuple(str(_signature(e)) for e in examples))
    try:
        known = _KERNELS.setdefault(f, {})
    except TypeError:  # a callable that cannot be weakly referenced
        known = {}
    if key not in known:
        known[key] = build(function, examples, backend)
    return known[key]


def build(
    function: Callable[..., Any], examples: tuple[Any, ...], backend: Backend = "auto"
) -> Kernel:
    """Compile without remembering. Never raises for what cannot be compiled: it falls back."""
    start = time.perf_counter()
    result = Kernel(function, examples)
    if backend != "eager":
        try:
            expected = function(*examples)
            graph = _trace(function, examples)
        except Exception as error:
            result.reason = f"not traceable: {_first_line(error)}"
        else:
            wanted = ("native", "script") if backend == "auto" else (backend,)
            for choice in wanted:
                try:
                    make = _native if choice == "native" else _script
                    fast = make(graph, examples)
                    _check(fast(examples), expected)
                except Exception as error:
                    result.reason = (result.reason + f"; {choice}: {_first_line(error)}").strip(
                        "; "
                    )
                else:
                    result.use(choice, fast)
                    break
    result.seconds = time.perf_counter() - start
    return result


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _trace(function: Callable[..., Any], examples: tuple[Any, ...]) -> fx.GraphModule:
    """The graph of `function`; its inputs are the examples that are not None, numbers as float64."""
    from torch._decomp import core_aten_decompositions

    table = {
        op: rule
        for op, rule in core_aten_decompositions().items()
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
    got, expected = (v if isinstance(v, tuple | list) else (v,) for v in (got, expected))
    for g, e in zip(got, expected, strict=True):
        if g.shape != e.shape or g.dtype != e.dtype:
            raise Unsupported(f"compiled {tuple(g.shape)} {g.dtype} for {tuple(e.shape)} {e.dtype}")
        unit = torch.finfo(e.dtype).eps if e.is_floating_point() else 0.0
        scale = float(e.abs().max()) if e.numel() else 0.0
        if not torch.allclose(g, e, rtol=1e4 * unit, atol=1e3 * unit * scale, equal_nan=True):
            raise Unsupported("compiled result differs from the function's own")


def _script(graph: fx.GraphModule, examples: tuple[Any, ...]) -> Callable[..., Any]:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(graph, tuple(_tensors(examples)), check_trace=False)

    def run(args: tuple[Any, ...]) -> Any:
        with torch.no_grad():
            return traced(*_tensors(args))

    return run


@cache
def compiler() -> str | None:
    """The C compiler in use: `$CC`, `cc`, `gcc` or `clang`; None where there is none."""
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if name and (found := shutil.which(name)):
            return found
    return None


@cache
def _workshop() -> tempfile.TemporaryDirectory[str]:
    """A private folder for this process, removed when it ends."""
    return tempfile.TemporaryDirectory(prefix="numdl-")


def _native(graph: fx.GraphModule, examples: tuple[Any, ...]) -> Callable[..., Any]:
    devices = {a.device.type for a in examples if isinstance(a, Tensor)}
    if devices - {"cpu"}:
        raise Unsupported(f"device {', '.join(sorted(devices))}")
    program = compiler()
    if program is None:
        raise Unsupported("no C compiler found; install one or set CC")
    numbers = [not isinstance(a, Tensor) for a in examples if a is not None]
    source, constants, outputs, single = translate(graph, numbers)
    folder = Path(_workshop().name)
    stem = f"kernel{len(list(folder.glob('*.c')))}"
    code, library = folder / f"{stem}.c", folder / f"{stem}.so"
    code.write_text(source)
    done = subprocess.run(
        [program, *FLAGS, "-shared", "-fPIC", "-o", str(library), str(code), "-lm"],
        capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Unsupported(f"{program} failed: {done.stderr.strip().splitlines()[:1]}")
    entry = ctypes.CDLL(str(library)).run
    entry.restype = None
    kinds = [None if a is None else isinstance(a, Tensor) for a in examples]
    entry.argtypes = [
        *(ctypes.c_void_p if k else ctypes.c_double for k in kinds if k is not None),
        *[ctypes.c_void_p] * (len(constants) + len(outputs)),
    ]
    held = [c.contiguous() for c in constants]
    fixed = [c.data_ptr() for c in held]

    def run(args: tuple[Any, ...]) -> Any:
        keep, plain = [], []
        for value, is_tensor in zip(args, kinds):
            if is_tensor:
                value = value if value.is_contiguous() else value.contiguous()
                keep.append(value)
                plain.append(value.data_ptr())
            elif is_tensor is not None:
                plain.append(value)
        results = [torch.empty(shape, dtype=dtype) for shape, dtype in outputs]
        entry(*plain, *fixed, *[r.data_ptr() for r in results])
        return results[0] if single else tuple(results)

    return run


def translate(
    graph: fx.GraphModule, numbers: list[bool]
) -> tuple[str, list[Tensor], list[tuple[torch.Size, torch.dtype]], bool]:
    """C source of the graph, the tensors that it closes over, its outputs, and whether it is one.

    `numbers` says which inputs are passed by value. Raises `Unsupported` naming what has no translation.
    """
    g = Generator()
    values: dict[fx.Node, Any] = {}
    parameters: list[str] = []
    constants: list[Tensor] = []
    outputs: list[tuple[torch.Size, torch.dtype]] = []
    closed: list[str] = []
    targets: list[str] = []
    single = True

    def take(argument: Any) -> Any:
        return fx.node.map_arg(argument, lambda n: values[n])

    for node in graph.graph.nodes:
        if node.op == "placeholder":
            meta, name = node.meta["val"], f"in{len(parameters)}"
            if numbers[len(parameters)]:
                values[node] = Value("double", (), lambda index, name=name: name)
                parameters.append(f"double {name}")
            else:
                values[node] = buffer_value(name, _ctype_of(meta), tuple(meta.shape))
                parameters.append(f"const {_ctype_of(meta)} *restrict {name}")
        elif node.op == "get_attr":
            tensor = getattr(graph, node.target)
            values[node] = buffer_value(
                f"c{len(constants)}", _ctype_of(tensor), tuple(tensor.shape)
            )
            constants.append(tensor)
            closed.append(f"const {_ctype_of(tensor)} *restrict c{len(closed)}")
        elif node.op == "call_function":
            value = element_of(node, list(take(node.args)), dict(take(node.kwargs)), g)
            alone = len(node.users) == 1 and all(is_pointwise(u) for u in node.users)
            values[node] = g.store(value) if is_pointwise(node) and not alone else value
        elif node.op == "output":
            results = node.args[0]
            single = not isinstance(results, tuple | list)
            for result in (results,) if single else results:
                value, meta = values[result], result.meta["val"]
                out = buffer_value(f"out{len(outputs)}", value.ctype, value.shape)
                g.fill(out, value.at)
                targets.append(f"{value.ctype} *restrict out{len(outputs)}")
                outputs.append((meta.shape, meta.dtype))
        else:
            raise Unsupported(f"graph node {node.op}")
    signature = ",".join([*parameters, *closed, *targets])
    body = "\n".join(g.lines)
    return f"{PREAMBLE}void run({signature}){{\n{body}\n}}\n", constants, outputs, single


def _ctype_of(tensor: Tensor) -> str:
    if tensor.dtype not in CTYPES:
        raise Unsupported(f"dtype {tensor.dtype}")
    return CTYPES[tensor.dtype]
