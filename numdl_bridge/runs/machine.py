"""What a run ran on: versions, processor, memory, BLAS and threads, read back and not assumed."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..version import __version__

PACKAGES = ("numpy", "scipy", "torch", "torchdiffeq", "python-flint", "juliacall")


def machine() -> dict[str, Any]:
    """Plain data for a manifest; loads torch, so that its thread pools are there to be read."""
    import psutil
    from threadpoolctl import threadpool_info

    from ..engines.torch.provenance import cpu_name

    pools = [
        {k: pool.get(k) for k in ("user_api", "internal_api", "version", "num_threads", "filepath")}
        for pool in threadpool_info()
    ]
    return {
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "memory": psutil.virtual_memory().total,
        # Paths name the user's machine; the library's file name is what matters.
        "pools": [p | {"filepath": os.path.basename(p["filepath"] or "")} for p in pools],
    }


def versions() -> dict[str, str]:
    """Versions of this package, Python and what the figures depend on."""
    found = {"numdl-bridge": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
