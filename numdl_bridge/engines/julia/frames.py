"""The messages between the worker and its parent: a MessagePack header, then arrays as raw bytes.

A frame is

    NDLB | header length (u32) | payload length (u64) | header | payload        (little-endian)

The header is a map; its entry `arrays` lists `[name, dtype, shape, order, offset, bytes]` for each
array in the payload, `order` being `"C"` or `"F"`: an array is sent in the memory order that it
has, and only one that is neither C- nor Fortran-contiguous is copied first. Offsets are multiples
of 64, so that the receiver may use the bytes where they lie.

Both processes use this module; the child hands the header to Julia undecoded.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import msgspec
import numpy as np

PROTOCOL = 1
MAGIC = b"NDLB"
ALIGNMENT = 64
DTYPES = frozenset("?bBhHiIlLqQefdFD")
_PREAMBLE = struct.Struct("<4sIQ")
# A header holds names and options, never data: anything larger is a stream out of step.
_LARGEST_HEADER = 64 * 2**20

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class GarbageError(Exception):
    """The stream holds something that is not a frame; `.args[0]` shows its first bytes."""


def pack(header: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> list[Any]:
    """A frame as a list of buffers, the arrays' own memory among them. Nothing is written yet.

    Raises `TypeError` for what cannot cross.
    """
    index: list[list[Any]] = []
    buffers: list[Any] = []
    offset = 0
    for name, value in arrays.items():
        array, order = _plain(name, value)
        size = array.nbytes
        index.append([name, array.dtype.str, list(array.shape), order, offset, size])
        padding = -size % ALIGNMENT
        if size:
            buffers.append(_bytes(array))
        if padding:
            buffers.append(bytes(padding))
        offset += size + padding
    head = _encode({**header, "arrays": index})
    return [preamble(len(head), offset) + head, *buffers]


def preamble(header_bytes: int, payload_bytes: int) -> bytes:
    """What stands in front of a frame."""
    return _PREAMBLE.pack(MAGIC, header_bytes, payload_bytes)


def write(stream: BinaryIO, message: list[Any]) -> None:
    """Write a frame that `pack` made."""
    for buffer in message:
        stream.write(buffer)
    stream.flush()


def send(stream: BinaryIO, header: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write one frame; each array's bytes are written once, from where they are."""
    write(stream, pack(header, arrays))


def _plain(name: str, value: np.ndarray) -> tuple[np.ndarray, str]:
    """The array little-endian and contiguous, and its memory order."""
    array = np.asarray(value)
    if array.dtype.char not in DTYPES:
        raise TypeError(f"array {name!r} has dtype {array.dtype}, which does not cross")
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    if array.flags.c_contiguous:
        return array, "C"
    if array.flags.f_contiguous:
        return array, "F"
    return np.ascontiguousarray(array), "C"


def _bytes(array: np.ndarray) -> memoryview:
    """The memory of a contiguous array as bytes, in the order in which it lies."""
    return memoryview(array.ravel(order="K").view(np.uint8))  # type: ignore[arg-type]


def receive_raw(stream: BinaryIO) -> tuple[bytes, np.ndarray] | None:
    """One frame as header bytes and payload bytes; None at the end of the stream."""
    start = _read_preamble(stream)
    if start is None:
        return None
    head = bytes(_read(stream, start[0]))
    return head, _read(stream, start[1])


def receive(stream: BinaryIO) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """One frame as header and arrays, each read straight into its own memory; None at the end.

    Raises `GarbageError` for what is not a frame and `EOFError` when the stream ends inside one.
    """
    start = _read_preamble(stream)
    if start is None:
        return None
    try:
        header = _decode(bytes(_read(stream, start[0])))
        index = header.pop("arrays")
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError) as error:
        raise GarbageError(f"a frame whose header cannot be read ({error})") from None
    arrays = {}
    position = 0
    for name, dtype, shape, order, offset, size in index:
        if offset > position:
            _read(stream, offset - position)
        array = np.empty(shape, dtype=dtype, order=order)
        if array.nbytes != size:
            raise GarbageError(f"array {name!r} of shape {shape} announced with {size} bytes")
        if size:
            _fill(stream, _bytes(array))
        arrays[name] = array
        position = offset + size
    if start[1] > position:
        _read(stream, start[1] - position)
    return header, arrays


def _read_preamble(stream: BinaryIO) -> tuple[int, int] | None:
    preamble = bytearray(_PREAMBLE.size)
    got = _read_some(stream, memoryview(preamble))
    if got == 0:
        return None
    _magic, head, payload = _PREAMBLE.unpack(preamble)
    if not MAGIC.startswith(bytes(preamble[: min(got, 4)])) or (
        got == len(preamble) and head > _LARGEST_HEADER
    ):
        raise GarbageError(f"the bytes {bytes(preamble[:got])!r}")
    if got < len(preamble):
        raise EOFError
    return head, payload


def _read(stream: BinaryIO, size: int) -> np.ndarray:
    buffer = np.empty(size, dtype=np.uint8)
    if size:
        _fill(stream, _bytes(buffer))
    return buffer


def _fill(stream: BinaryIO, view: memoryview) -> None:
    if _read_some(stream, view) < len(view):
        raise EOFError


def _read_some(stream: BinaryIO, view: memoryview) -> int:
    """Fill the view as far as the stream goes; returns the number of bytes read."""
    got = 0
    while got < len(view):
        step = stream.readinto(view[got:])  # type: ignore[attr-defined]
        if not step:
            break
        got += step
    return got
