"""Files that survive a kill and that show when a byte was changed. Nothing read here is executed.

Two formats: arrays as NPZ without pickle, and *sealed* JSON, whose first member is the SHA-256 of
the bytes of its second:

    {
    "sha256": "…",
    "content": {…}
    }
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import math
import os
import secrets
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ..errors import BadInputError, TamperedError, UnknownNameError
from ..studies.contract import Arrays

_HEAD = b'{\n"sha256": "'
_MIDDLE = b'",\n"content": '
_TAIL = b"\n}\n"
KEPT = "biufcSU"
"""Kinds of dtype that NPZ keeps without pickle: not objects, and not bfloat16."""

_RENEW = "delete it and compute it again, or restore the original"


def sha256(data: bytes) -> str:
    """The SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def write_atomic(path: Path, data: bytes) -> None:
    """Write a whole file or leave the old one: a kill at any moment changes nothing by half."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise BadInputError(
            f"{path} cannot be written: {error.strerror or error}",
            "a folder with write permission and space",
            "choose another folder with --out",
        ) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable, where the system lets a folder be opened (not Windows)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_bytes(path: Path) -> bytes:
    """The bytes of a file; raises `UnknownNameError` where it is missing or cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnknownNameError(f"{path} cannot be read: {error.strerror or error}") from None


def pack_arrays(arrays: Arrays) -> bytes:
    """Named arrays as the bytes of an NPZ file: the same arrays always give the same bytes.

    Byte order and memory order are kept. Raises `BadInputError` for a dtype that NPZ cannot keep
    without pickle (objects, bfloat16).
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in arrays.items():
            array = np.asarray(value)
            if array.dtype.kind not in KEPT:
                raise BadInputError(
                    f"array {name!r} has dtype {array.dtype}",
                    "a boolean, integer, floating, complex or text dtype of NumPy",
                    "convert it first (bfloat16 fits in float32 exactly)",
                )
            entry = io.BytesIO()
            np.lib.format.write_array(entry, array, allow_pickle=False)
            # ZipInfo's date defaults to 1980, so that equal content gives equal bytes.
            info = zipfile.ZipInfo(f"{name}.npy")
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, entry.getvalue())
    return buffer.getvalue()


def unpack_arrays(data: bytes, where: str) -> dict[str, np.ndarray]:
    """The arrays of an NPZ file's bytes; `where` names it in a broken one's `TamperedError`."""
    arrays = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.namelist():
                stream = io.BytesIO(archive.read(entry))
                array = np.lib.format.read_array(stream, allow_pickle=False)
                arrays[entry.removesuffix(".npy")] = array
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError, OSError, NotImplementedError) as e:
        raise TamperedError(f"{where} is not an NPZ file of arrays: {e}", remedy=_RENEW) from None
    return arrays


def write_sealed(path: Path, content: Any) -> str:
    """Write `content` as sealed JSON and return the seal, the SHA-256 of its content's bytes."""
    body = msgspec.json.format(msgspec.json.encode(plain(content)), indent=1)
    seal = sha256(body)
    write_atomic(path, _HEAD + seal.encode() + _MIDDLE + body + _TAIL)
    return seal


def read_sealed(path: Path) -> tuple[Any, str]:
    """Read sealed JSON: its content and its seal. Raises `TamperedError` at any changed byte."""
    data = read_bytes(path)
    start = len(_HEAD) + 64 + len(_MIDDLE)
    body = data[start : -len(_TAIL)]
    seal = sha256(body)
    if data != _HEAD + seal.encode() + _MIDDLE + body + _TAIL:
        raise TamperedError(
            f"{path} was changed or cut short after it was written",
            f"content with SHA-256 {data[len(_HEAD) : len(_HEAD) + 12].decode(errors='replace')}…",
            _RENEW,
        )
    return msgspec.json.decode(body), seal


def read_checked(path: Path, seal: str) -> bytes:
    """The bytes of a file whose SHA-256 is known. Raises `TamperedError` where it differs."""
    if not path.is_file():
        raise TamperedError(f"{path} is missing", f"a file with SHA-256 {seal[:12]}…", _RENEW)
    data = read_bytes(path)
    if sha256(data) != seal:
        raise TamperedError(
            f"{path} was changed or cut short after it was written",
            f"SHA-256 {seal[:12]}…, got {sha256(data)[:12]}…",
            _RENEW,
        )
    return data


def plain(value: Any) -> Any:
    """Data that JSON can hold without loss of meaning: NaN and infinities become their names.

    JSON has no such numbers, and writing them as null would let a NaN pass for "not computed".
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, msgspec.Struct):
        return plain(msgspec.structs.asdict(value))
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, bool):
        return value
    # Subclasses too (torch's version is a str of its own class) become the plain types of JSON.
    if isinstance(value, int):
        return int(value)
    return float(value) if isinstance(value, float) else str(value)
