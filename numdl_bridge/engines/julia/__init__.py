"""The julia engine: a worker process that runs juliacall, and never torch.

- `settings` : which Julia, each option with where it came from;
- `readiness`: whether it is ready, without starting it.
- `worker`   : the process: started when first asked, restarted after a crash.
- `frames`   : the messages that cross, arrays as raw bytes.
- `engine`   : `JuliaEngine`, which answers studies through the worker.

Importing this package imports neither juliacall nor Julia.

Where the Julia half comes from: NumDLBridge.jl stands in `julia/` in a checkout and in
`numdl_bridge/_data/julia` in a wheel (`resources.folder("julia")`). `juliapkg.json` lists only the
registered packages that it needs, so that one file is right in both places and nothing is written
into an installed wheel; the worker puts the folder itself on Julia's LOAD_PATH, where Julia finds
the package by its Project.toml, its dependencies in the project's manifest, and its extension for
SciMLSensitivity. A project that has NumDLBridge of its own is used as it is, provided the versions
are equal.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    # On first use: `engine` imports msgspec and NumPy, which the worker's child does not wait for.
    if name == "JuliaEngine":
        from .engine import JuliaEngine

        return JuliaEngine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
