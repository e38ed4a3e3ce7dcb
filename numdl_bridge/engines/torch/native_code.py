"""The C that `native.py` writes: arrays as expressions of their indices, and loops over them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

CTYPES = {
    torch.float64: "double",
    torch.float32: "float",
    torch.int64: "long long",
    torch.bool: "unsigned char",
}

# Beyond this many multiplications in one product, BLAS beats plain loops.
LARGEST_PRODUCT = 200_000
LARGEST_WORKSPACE = 1 << 18


class UnsupportedError(Exception):
    """An operation, dtype or size that is not translated; the message names it."""


@dataclass
class Value:
    """An array in the generated code: its shape, C type, and the C expression of an element."""

    ctype: str
    shape: tuple[int, ...]
    at: Callable[[Sequence[str]], str]


def ctype_of(dtype: torch.dtype) -> str:
    if dtype not in CTYPES:
        raise UnsupportedError(f"dtype {dtype}")
    return CTYPES[dtype]


@dataclass
class Generator:
    """Walks a graph and writes the body of one C function."""

    lines: list[str] = field(default_factory=list)
    bytes: int = 0
    count: int = 0

    def new_buffer(self, ctype: str, shape: Sequence[int]) -> tuple[str, Value]:
        name, size = f"b{self.count}", max(1, math.prod(shape))
        self.count += 1
        self.bytes += size * (4 if ctype == "float" else 8)
        if self.bytes > LARGEST_WORKSPACE:
            raise UnsupportedError(
                f"more than {LARGEST_WORKSPACE >> 10} KiB of intermediate values"
            )
        self.lines.append(f"{ctype} {name}[{size}];")
        return name, buffer_value(name, ctype, shape)

    def fill(
        self, target: Value, element: Callable[[list[str]], str], shape: Sequence[int] | None = None
    ) -> None:
        """`target[i] = element(i)` for all i of `shape`."""
        shape = target.shape if shape is None else shape
        index = [f"i{d}" if n != 1 else "0" for d, n in enumerate(shape)]
        if 0 in shape:
            return
        loops = [f"for(int i{d}=0;i{d}<{n};i{d}++)" for d, n in enumerate(shape) if n != 1]
        self.lines.append(f"{''.join(loops)} {target.at(index)}={element(index)};")

    def store(self, value: Value) -> Value:
        """The value written out into a contiguous buffer."""
        _, target = self.new_buffer(value.ctype, value.shape)
        self.fill(target, lambda i: value.at(i))
        return target

    def reduce(self, out: Value, over: Sequence[int], start: str, update: str) -> None:
        """A reduction: `update` has {acc} and {i0}.. for the reduced indices."""
        index = [f"i{d}" if n != 1 else "0" for d, n in enumerate(out.shape)]
        outer = [f"for(int i{d}=0;i{d}<{n};i{d}++)" for d, n in enumerate(out.shape) if n != 1]
        inner = [f"for(int r{d}=0;r{d}<{n};r{d}++)" for d, n in enumerate(over)]
        self.lines.append(
            f"{''.join(outer)}{{{out.ctype} acc={start};{''.join(inner)}{{{update}}}"
            f"{out.at(index)}=acc;}}"
        )


def buffer_value(name: str, ctype: str, shape: Sequence[int]) -> Value:
    strides = [math.prod(shape[d + 1 :]) for d in range(len(shape))]

    def at(index: Sequence[str]) -> str:
        terms = [
            i if s == 1 else f"{s}*({i})"
            for i, s in zip(index, strides, strict=True)
            if i != "0" and s
        ]
        return f"{name}[{'+'.join(terms) or '0'}]"

    return Value(ctype, tuple(shape), at)
