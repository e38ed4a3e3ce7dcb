"""The julia engine: a worker process that runs juliacall, and never torch.

- `settings` : which Julia, each option with where it came from;
- `readiness`: whether it is ready, without starting it.
- `worker`   : the process: started when first asked, restarted after a crash.
- `frames`   : the messages that cross, arrays as raw bytes.
- `engine`   : `JuliaEngine`, which answers studies through the worker.

Importing this package imports neither juliacall nor Julia.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    # On first use: `engine` imports msgspec and NumPy, which the worker's child does not wait for.
    if name == "JuliaEngine":
        from .engine import JuliaEngine

        return JuliaEngine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
