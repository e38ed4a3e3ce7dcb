"""A stand-in for the Julia worker in pure Python: it speaks the same messages and can misbehave.

    python standin_julia.py [mode]

Modes act at the start: `dies`, `garbage`, `refuses`, `hangs`, `other-version`. Functions act when
called: `echo`, `die`, `hang`, `garbage`, `chatter`, `throw`, `sleep`, and for a study
`prepare`, `answer`, `sample`, `drop`. Its study has the parts `double` and whatever the option
`trouble` says (`die`, `hang`, `throw`, `die once`), and answers `2 x` and `3 x`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import numdl_bridge
from numdl_bridge.engines.julia import frames, lifeline, worker_main
from numdl_bridge.studies.contract import input_hash


def reply(sink, number, data=None, arrays=None):
    timings = {"conversion in": 0.0, "kernel": 0.0, "conversion out": 0.0, "compilation": 0.0}
    header = {"kind": "reply", "id": number, "data": data or {}, "timings": timings}
    frames.send(sink, header, arrays or {})


def answer(sink, header, arrays):
    function, arguments, number = header["function"], header["arguments"], header["id"]
    if function == "echo":
        reply(sink, number, arguments, {k: np.array(v, order="F") for k, v in arrays.items()})
    elif function == "sleep":
        time.sleep(arguments["seconds"])
        reply(sink, number, {"pid": os.getpid()})
    elif function == "die":
        print("ERROR: LoadError: out of luck", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    elif function == "hang":
        time.sleep(600)
    elif function == "garbage":
        sink.write(b"Hello from a print that went astray\n" * 10)
        sink.flush()
        time.sleep(600)
    elif function == "chatter":
        os.write(1, b"printed to stdout\n")  # what Julia's println does
        reply(sink, number, {"stdin": os.read(0, 1).decode()})
    elif function == "spawn and die":  # as Julia does when it precompiles
        helper = subprocess.Popen(["sleep", "600"])
        Path(arguments["file"]).write_text(str(helper.pid))
        os.kill(os.getpid(), signal.SIGSEGV)
    elif function == "throw":
        message = "DomainError with -1.0:\nsqrt was called with a negative real argument"
        frames.send(
            sink,
            {
                "kind": "error",
                "id": number,
                "type": "DomainError",
                "message": message,
                "where": ["sqrt at math.jl:33"],
            },
            {},
        )


KEPT: dict[int, dict] = {}


def study(sink, header, arrays) -> bool:
    """Answer what the engine asks about a study; False for anything else."""
    function, arguments, number = header["function"], header["arguments"], header["id"]
    if function == "prepare":
        KEPT[1] = {"inputs": arrays, "options": arguments["options"]}
        trouble = arguments["options"]["trouble"]
        data = {"key": 1, "input hash": input_hash(arrays), "tasks": ["forward"]}
        reply(sink, number, {**data, "parts": ["double", trouble]})
    elif function == "answer":
        x, part = KEPT[arguments["key"]]["inputs"]["x"], arguments["part"]
        marker = Path(os.environ["STANDIN_MARKER"])
        if part == "die once" and not marker.exists():
            marker.touch()
            part = "die"
        if part in ("die", "hang", "throw"):
            answer(sink, {**header, "function": part}, arrays)
            return True
        values = {"double": 2 * x} if part == "double" else {"triple": 3 * x}
        rest = {"labels": {}, "unavailable": {}, "peak memory": 1000}
        if part == "double":
            rest["unavailable"] = {"absent": "not in this stand-in"}
        reply(sink, number, rest, values)
    elif function == "sample":
        reply(sink, number, {"seconds": 0.001 * arguments["calls"]})
    elif function == "drop":
        KEPT.pop(arguments["key"])
        reply(sink, number)
    else:
        return False
    return True


def main() -> int:
    mode = sys.argv[1] if len(sys.argv) > 1 else "works"
    lifeline.hold(os.environ)
    source, sink = worker_main.private_pipes()
    if mode == "dies":
        print("ERROR: LoadError: ArgumentError: Package NumDLBridge not found", file=sys.stderr)
        return 1
    if mode == "garbage":
        sink.write(b"julia> " * 20)
        sink.flush()
        time.sleep(600)
    if mode == "hangs":
        time.sleep(600)
    if mode == "refuses":
        failed = {"kind": "error", "id": 0, "message": "PythonCall.jl did not start"}
        frames.send(sink, failed, {})
        return 1
    version = "0.0.1" if mode == "other-version" else numdl_bridge.__version__
    facts = {"protocol": frames.PROTOCOL, "NumDLBridge": version, "julia": "1.10"}
    frames.send(sink, {"kind": "phase", "phase": "process start", "seconds": 0.0}, {})
    frames.send(sink, {"kind": "ready", "id": 0, **facts}, {})
    while (message := frames.receive(source)) is not None:
        if message[0]["kind"] == "end":
            return 0
        if not study(sink, *message):
            answer(sink, *message)
    return 0


if __name__ == "__main__":
    sys.exit(main())
