"""The worker's own side: reads messages, hands them to Julia, writes what Julia returns.

Run by `worker` as `python -m numdl_bridge.engines.julia.worker_main`; never imported by the rest.
It imports juliacall and never torch: the two in one process are a known way to crash.

A message's header crosses into Julia undecoded and its arrays by address, so that a call costs two
integers each way through juliacall, whatever its arguments. `NumDLBridge.serve` returns the address
of a block of 64-bit words:

    header address, header bytes, number of arrays, then address and bytes of each array

which Julia keeps alive until the next call.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from typing import Any, BinaryIO

from . import frames, lifeline

_END = b"\x82\xa4kind\xa3end"  # {"kind": "end", "arrays": ...} in MessagePack


def main() -> int:
    """Serve until the parent says `end` or is gone. Returns the exit status."""
    lifeline.hold(os.environ)
    source, sink = private_pipes()
    try:
        serve, facts = _start_julia(sink)
    except BaseException as error:
        frames.send(sink, {"kind": "error", "id": 0, "message": _explain(error)}, {})
        return 1
    frames.send(sink, {"kind": "ready", "id": 0, "protocol": frames.PROTOCOL, **facts}, {})
    while True:
        message = frames.receive_raw(source)
        if message is None:
            return 0
        head, payload = message
        if head.startswith(_END):  # The one message that is not for Julia.
            return 0
        block = _words(int(serve(_address(head), len(head), payload.ctypes.data)))
        frames.write(sink, _reply(block))


def private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Move the message pipes off 0 and 1, where Julia, juliapkg or a user's model may print."""
    source = os.fdopen(os.dup(0), "rb", buffering=0)
    sink = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return source, sink


def _start_julia(sink: BinaryIO) -> tuple[Any, dict[str, Any]]:
    """Start Julia and load NumDLBridge, telling of each phase; returns `serve` and the facts."""

    def tell(phase: str, seconds: float | None = None) -> None:
        note = {"kind": "phase", "phase": phase}
        frames.send(sink, note if seconds is None else {**note, "seconds": seconds}, {})

    if "PYTHON_JULIACALL_EXE" not in os.environ:
        _resolve_juliapkg(tell)
    clock = time.perf_counter()
    from juliacall import Main

    started = time.perf_counter()
    tell("process start", started - clock)
    # The package that came with this one, unless the project has its own.
    folder = os.environ["NUMDL_JULIA_PACKAGE"]
    Main.seval(
        """path -> Base.find_package("NumDLBridge") === nothing && push!(LOAD_PATH, path)"""
    )(folder)
    Main.seval("using NumDLBridge")
    # SciMLSensitivity is large and not everywhere; the package has an extension for it.
    Main.seval("""
        if Base.find_package("SciMLSensitivity") !== nothing
            try
                @eval using SciMLSensitivity
            catch error
                @warn "SciMLSensitivity is installed but does not load" error
            end
        end
    """)
    bridge = Main.NumDLBridge
    facts = {str(k): _plain(v) for k, v in bridge.facts().items()}
    tell("package load", time.perf_counter() - started)
    return bridge.serve, facts


def _resolve_juliapkg(tell: Any) -> None:
    """Let juliapkg install what is missing, saying so beforehand."""
    import juliapkg

    if not juliapkg.resolve(dry_run=True):
        tell("installing Julia and its packages through juliapkg; this happens once")
        clock = time.perf_counter()
        juliapkg.resolve()
        tell("installation", time.perf_counter() - clock)


def _plain(value: Any) -> Any:
    """A fact as plain data: text, number or flag."""
    return value if isinstance(value, (bool, int, float)) else str(value)


def _address(buffer: bytes) -> int:
    return ctypes.cast(ctypes.c_char_p(buffer), ctypes.c_void_p).value or 0


def _words(address: int) -> list[int]:
    count = ctypes.c_uint64.from_address(address + 16).value
    return list((ctypes.c_uint64 * (3 + 2 * count)).from_address(address))


def _reply(block: list[int]) -> list[Any]:
    """A frame around Julia's own memory; the index of the arrays is in the header already."""
    head = _memory(block[0], block[1])
    buffers: list[Any] = []
    total = 0
    for address, size in zip(block[3::2], block[4::2]):
        padding = -size % frames.ALIGNMENT
        if size:
            buffers.append(_memory(address, size))
        if padding:
            buffers.append(bytes(padding))
        total += size + padding
    return [frames.preamble(len(head), total), head, *buffers]


def _memory(address: int, size: int) -> memoryview:
    return memoryview((ctypes.c_char * size).from_address(address)).cast("B")


def _explain(error: BaseException) -> str:
    """One message for a start that failed, without Python's or Julia's traceback."""
    text = str(error).split("\nStacktrace:")[0].strip()
    kind = type(error).__name__
    return text if kind == "JuliaError" and text else f"{kind}: {text}"


if __name__ == "__main__":
    status = main()
    # Julia's own exit hooks run through juliacall's; nothing of ours is left to flush.
    sys.exit(status)
