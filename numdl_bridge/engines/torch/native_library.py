"""From a traced graph to a C library and back to a Python callable."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx

from .native import element_of, is_pointwise
from .native_code import Generator, UnsupportedError, Value, buffer_value, ctype_of

# -ffp-contract=off: a fused multiply-add would round differently from PyTorch's two operations.
FLAGS = ("-O2", "-ftree-vectorize", "-march=native", "-ffp-contract=off", "-fno-math-errno")
PREAMBLE = "#include <tgmath.h>\n"
COMPILE_SECONDS = 60


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


def compile_graph(graph: fx.GraphModule, examples: tuple[Any, ...]) -> Callable[..., Any]:
    """The graph as a function of the tuple of its arguments. Raises `UnsupportedError`."""
    devices = {a.device.type for a in examples if isinstance(a, Tensor)}
    if devices - {"cpu"}:
        raise UnsupportedError(f"device {', '.join(sorted(devices))}")
    program = compiler()
    if program is None:
        raise UnsupportedError("no C compiler found; install one or set CC")
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
        raise UnsupportedError(f"{program} failed: {done.stderr.strip().splitlines()[:1]}")
    entry = ctypes.CDLL(str(library)).run
    entry.restype = None
    kinds = [None if a is None else isinstance(a, Tensor) for a in examples]
    entry.argtypes = [
        *(ctypes.c_void_p if k else ctypes.c_double for k in kinds if k is not None),
        *[ctypes.c_void_p] * (len(constants) + len(outputs)),
    ]
    frozen = [c.detach().clone(memory_format=torch.contiguous_format) for c in constants]
    # A step is a few microseconds: what does not change is looked up once.
    addresses, empty = [c.data_ptr() for c in frozen], torch.empty

    def run(args: tuple[Any, ...]) -> Any:
        keep, plain = [], []
        for value, is_tensor in zip(args, kinds):
            if is_tensor:
                value = value if value.is_contiguous() else value.contiguous()
                keep.append(value)
                plain.append(value.data_ptr())
            elif is_tensor is not None:
                plain.append(value)
        results = [empty(shape, dtype=dtype) for shape, dtype in outputs]
        entry(*plain, *addresses, *[r.data_ptr() for r in results])
        return results[0] if single else tuple(results)

    run.constants = frozen  # type: ignore[attr-defined]  # Their addresses are in use.
    return run


def translate(
    graph: fx.GraphModule, numbers: list[bool]
) -> tuple[str, list[Tensor], list[tuple[torch.Size, torch.dtype]], bool]:
    """C source of the graph, the tensors that it closes over, its outputs, and whether it is one.

    `numbers` says which inputs are passed by value. Raises `UnsupportedError` naming what has no
    translation.
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
                values[node] = _passed(name)
                parameters.append(f"double {name}")
            else:
                values[node] = buffer_value(name, ctype_of(meta.dtype), tuple(meta.shape))
                parameters.append(f"const {ctype_of(meta.dtype)} *restrict {name}")
        elif node.op == "get_attr":
            tensor = getattr(graph, node.target)
            values[node] = buffer_value(
                f"c{len(constants)}", ctype_of(tensor.dtype), tuple(tensor.shape)
            )
            constants.append(tensor)
            closed.append(f"const {ctype_of(tensor.dtype)} *restrict c{len(closed)}")
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
            raise UnsupportedError(f"graph node {node.op}")
    signature = ",".join([*parameters, *closed, *targets])
    body = "\n".join(g.lines)
    return f"{PREAMBLE}void run({signature}){{\n{body}\n}}\n", constants, outputs, single


def _passed(name: str) -> Value:
    return Value("double", (), lambda index: name)
