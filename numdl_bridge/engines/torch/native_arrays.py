"""The rest of `native.py`'s tables: operations that rearrange arrays, and those that combine them.

A view is a change of index and writes no code; gathering, reductions and products write loops.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import fx

from .native_code import LARGEST_PRODUCT, Generator, UnsupportedError, Value, buffer_value, ctype_of

_RESHAPES = {"view", "_unsafe_view", "reshape", "_reshape_alias"}

Index = Sequence[str]


def _moved(source: Value, shape: Sequence[int], move: Callable[[Index], list[str]]) -> Value:
    return Value(source.ctype, tuple(shape), lambda index: source.at(move(index)))


def _shift(i: str, start: int, step: int = 1) -> str:
    scaled = i if step == 1 else ("0" if i == "0" else f"{step}*({i})")
    if start == 0:
        return scaled
    return str(start) if scaled == "0" else f"{start}+{scaled}"


def arrange(
    name: str, node: fx.Node, args: list[Any], kwargs: dict[str, Any], g: Generator
) -> Any | None:
    """Views and copies; None where `name` is neither."""
    if not args:
        return None
    source = args[0]
    if name in _RESHAPES:
        return _reshape(source, tuple(node.meta["val"].shape), g)
    if name in ("cat", "stack"):
        return _gather(name, node, args, kwargs, g)
    if name in ("slice_scatter", "select_scatter"):
        return _scatter(name, args, kwargs, g)
    if name in ("unbind", "split", "split_with_sizes"):
        return _parts(name, node, args, kwargs)
    rank = len(source.shape) if isinstance(source, Value) else 0
    if name in ("t", "transpose", "permute"):
        if name == "t":
            order = list(range(rank))[::-1]
        elif name == "permute":
            order = [d % rank for d in args[1]]
        else:
            order = list(range(rank))
            a, b = args[1] % rank, args[2] % rank
            order[a], order[b] = order[b], order[a]
        return _moved(
            source,
            [source.shape[d] for d in order],
            lambda i: [i[order.index(d)] for d in range(rank)],
        )
    if name == "unsqueeze":
        d = args[1] % (rank + 1)
        longer = [*source.shape[:d], 1, *source.shape[d:]]
        return _moved(source, longer, lambda i: [*i[:d], *i[d + 1 :]])
    if name == "squeeze":
        return _squeeze(source, args)
    if name == "expand":
        shape = tuple(node.meta["val"].shape)
        return _moved(
            source,
            shape,
            lambda i: ["0" if n == 1 else j for j, n in zip(i[len(shape) - rank :], source.shape)],
        )
    if name == "select":
        d, at = args[1] % rank, args[2] % source.shape[args[1] % rank]
        shorter = [*source.shape[:d], *source.shape[d + 1 :]]
        return _moved(source, shorter, lambda i: [*i[:d], str(at), *i[d:]])
    if name == "slice":
        d = (args[1] if len(args) > 1 else 0) % rank
        start, _, step = _bounds(args[1:], source.shape[d])
        shape = tuple(node.meta["val"].shape)
        return _moved(source, shape, lambda i: [*i[:d], _shift(i[d], start, step), *i[d + 1 :]])
    if name == "diagonal" and rank == 2 and len(args) == 1:
        return _moved(source, [min(source.shape)], lambda i: [i[0], i[0]])
    return None


def _bounds(args: Sequence[Any], size: int) -> tuple[int, int, int]:
    """start, stop, step of `slice(dim, start, stop, step)` in an axis of this size."""
    given = [*args[1:], None, None, None][:3]
    start, stop, step = slice(given[0], given[1], given[2] or 1).indices(size)
    return start, stop, step


def _reshape(source: Value, shape: tuple[int, ...], g: Generator) -> Value:
    if tuple(n for n in source.shape if n != 1) == tuple(n for n in shape if n != 1):

        def move(index: Index) -> list[str]:
            long = iter([i for i, n in zip(index, shape) if n != 1])
            return [next(long) if n != 1 else "0" for n in source.shape]

        return _moved(source, shape, move)
    stored = g.store(source)
    name = stored.at(["0"] * len(source.shape)).split("[")[0]
    return buffer_value(name, source.ctype, shape)


def _squeeze(source: Value, args: list[Any]) -> Value:
    rank = len(source.shape)
    dims = range(rank) if len(args) == 1 else args[1] if isinstance(args[1], list) else [args[1]]
    gone = {d % rank for d in dims if rank and source.shape[d % rank] == 1}
    kept = [d for d in range(rank) if d not in gone]
    return _moved(
        source,
        [source.shape[d] for d in kept],
        lambda i: [i[kept.index(d)] if d in kept else "0" for d in range(rank)],
    )


def _gather(
    name: str, node: fx.Node, args: list[Any], kwargs: dict[str, Any], g: Generator
) -> Value:
    out = node.meta["val"]
    rank = out.dim()
    d = kwargs.get("dim", args[1] if len(args) > 1 else 0) % rank
    _, target = g.new_buffer(ctype_of(out.dtype), tuple(out.shape))
    start = 0
    for piece in args[0]:
        if len(piece.shape) == 1 and piece.shape[0] == 0:
            continue
        shape = piece.shape if name == "cat" else (*piece.shape[:d], 1, *piece.shape[d:])
        region = _from(target, d, start, shape)
        if name == "cat":
            g.fill(region, partial(_cast, piece, target.ctype))
        else:
            g.fill(region, partial(_cast_without, d, piece, target.ctype))
        start += shape[d]
    return target


def _from(source: Value, d: int, start: int, shape: Sequence[int]) -> Value:
    """The part of `source` that begins at `start` on axis `d`."""
    return _moved(source, shape, lambda i: [*i[:d], _shift(i[d], start), *i[d + 1 :]])


def _at(source: Value, d: int, position: int, shape: Sequence[int]) -> Value:
    """The slice of `source` at `position` of axis `d`, without that axis."""
    return _moved(source, shape, lambda i: [*i[:d], str(position), *i[d:]])


def _cast_without(d: int, value: Value, ctype: str, index: Index) -> str:
    return _cast(value, ctype, [*index[:d], *index[d + 1 :]])


def _cast(value: Value, ctype: str, index: Index) -> str:
    element = value.at(index)
    return element if value.ctype == ctype else f"(({ctype}){element})"


def _scatter(name: str, args: list[Any], kwargs: dict[str, Any], g: Generator) -> Value:
    source, piece = args[0], args[1]
    target, rank = g.store(source), len(source.shape)
    d = kwargs.get("dim", args[2] if len(args) > 2 else 0) % rank
    if name == "select_scatter":
        at = kwargs.get("index", args[3] if len(args) > 3 else 0) % source.shape[d]
        region = _moved(target, piece.shape, lambda i: [*i[:d], str(at), *i[d:]])
    else:
        given = [d, *(args[3:] or [kwargs.get(k) for k in ("start", "end", "step")])]
        start, _, step = _bounds(given, source.shape[d])
        region = _moved(
            target, piece.shape, lambda i: [*i[:d], _shift(i[d], start, step), *i[d + 1 :]]
        )
    g.fill(region, lambda i: _cast(piece, target.ctype, i))
    return target


def _parts(name: str, node: fx.Node, args: list[Any], kwargs: dict[str, Any]) -> list[Value]:
    source, rank = args[0], len(args[0].shape)
    position = 1 if name == "unbind" else 2
    d = kwargs.get("dim", args[position] if len(args) > position else 0) % rank
    parts, start = [], 0
    for out in node.meta["val"]:
        shape = tuple(out.shape)
        if name == "unbind":
            parts.append(_at(source, d, start, shape))
            start += 1
        else:
            parts.append(_from(source, d, start, shape))
            start += shape[d]
    return parts


def combine(
    name: str, node: fx.Node, args: list[Any], kwargs: dict[str, Any], g: Generator
) -> Value:
    """Reductions and products. Raises `UnsupportedError` for what is not in the tables."""
    if name in ("sum", "mean", "amax", "amin"):
        return _reduction(name, node, args, kwargs, g)
    products = {
        "dot": ("", "k", "k"), "mv": ("i", "ik", "k"), "mm": ("ij", "ik", "kj"),
        "bmm": ("bij", "bik", "bkj"),
    }  # fmt: skip
    added = name in ("addmm", "addmv")
    kind = name[3:] if added else name
    if kind not in products or kwargs.get("alpha", 1) != 1 or kwargs.get("beta", 1) != 1:
        raise UnsupportedError(f"operation {name}")
    bias, factors = (args[0], args[1:3]) if added else (None, args[:2])
    return _product(products[kind], node, bias, factors, g)


def _reduction(
    name: str, node: fx.Node, args: list[Any], kwargs: dict[str, Any], g: Generator
) -> Value:
    source, out = args[0], node.meta["val"]
    rank = len(source.shape)
    dims = args[1] if len(args) > 1 and args[1] is not None else list(range(rank))
    over = sorted({d % rank for d in dims} if dims else range(rank)) if rank else []
    keep = bool(args[2]) if len(args) > 2 else bool(kwargs.get("keepdim", False))
    _, target = g.new_buffer(ctype_of(out.dtype), tuple(out.shape))
    kept = [d for d in range(rank) if d not in over]
    outer = [f"i{d}" if n != 1 else "0" for d, n in enumerate(target.shape)]
    index = []
    for d in range(rank):
        if d in over:
            index.append(f"r{over.index(d)}")
        else:
            index.append(outer[d] if keep else outer[kept.index(d)])
    element = _cast(source, target.ctype, index)
    sizes = [source.shape[d] for d in over]
    if name in ("amax", "amin"):
        start = "-INFINITY" if name == "amax" else "INFINITY"
        sign = ">" if name == "amax" else "<"
        update = f"{target.ctype} v={element};if(v!=v||v{sign}acc)acc=v;"
    else:
        start, update = "0", f"acc+={element};"
    g.reduce(target, sizes, start, update)
    if name != "mean":
        return target
    count = math.prod(sizes)
    return g.store(Value(target.ctype, target.shape, lambda i: f"{target.at(i)}/{count}"))


def _product(
    letters: tuple[str, str, str], node: fx.Node, bias: Any, factors: Sequence[Value], g: Generator
) -> Value:
    out = node.meta["val"]
    to, left, right = letters
    size = {c: n for f, ls in zip(factors, (left, right)) for c, n in zip(ls, f.shape)}
    if math.prod(size.values()) > LARGEST_PRODUCT:
        raise UnsupportedError("a matrix product large enough for BLAS")
    _, target = g.new_buffer(ctype_of(out.dtype), tuple(out.shape))
    at = {c: (f"i{d}" if size[c] != 1 else "0") for d, c in enumerate(to)} | {"k": "r0"}
    a, b = (_cast(f, target.ctype, [at[c] for c in ls]) for f, ls in zip(factors, (left, right)))
    g.reduce(target, [size["k"]], "0", f"acc+={a}*{b};")
    if bias is None:
        return target
    rank = len(bias.shape)

    def with_bias(index: Index) -> str:
        own = index[len(index) - rank :]
        element = bias.at(["0" if n == 1 else i for i, n in zip(own, bias.shape)])
        return f"{element}+{target.at(index)}"

    return g.store(Value(target.ctype, target.shape, with_bias))
