"""The Julia lines that read the weights which `Mirror.write` leaves beside the source."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_TYPES = {"float64": "Float64", "float32": "Float32", "float16": "Float16", "int64": "Int64"}


def loader(weights: Mapping[str, np.ndarray], file: str) -> str:
    """`load_weights()`: names, types and sizes in the source, numbers in `file`.

    Plain little-endian columns, so that Julia needs no package to read them.
    """
    rows = "\n".join(
        f'    "{name}" => ({_TYPES[value.dtype.name]}, {_size(value.shape)}),'
        for name, value in weights.items()
    )
    return f'''\
const WEIGHTS = [
{rows}
]

"Read the weights that stand beside this file."
function load_weights(path=joinpath(@__DIR__, "{file}"))
    open(path) do io
        Dict(name => ltoh.(read!(io, Array{{T}}(undef, size))) for (name, (T, size)) in WEIGHTS)
    end
end
'''


def _size(shape: tuple[int, ...]) -> str:
    return f"({shape[0]},)" if len(shape) == 1 else f"({', '.join(map(str, shape))})"
