"""What the torch engine ran on: versions, CPU, BLAS and threads, read back and not assumed."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_info


def provenance(device: str, threads: int) -> dict[str, Any]:
    """Plain data; `threads` is what was in force while the engine computed."""
    pools = [
        {k: pool[k] for k in ("user_api", "internal_api", "version", "num_threads")}
        for pool in threadpool_info()
    ]
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "torch": torch.__version__,
        "torchdiffeq": version("torchdiffeq"),
        "numpy": np.__version__,
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else device,
        "blas": "MKL" if torch.backends.mkl.is_available() else "OpenBLAS or other",
        "threads": threads,
        "pools": pools,
    }


def cpu_name() -> str:
    """The processor's own name where the system tells it, else its architecture."""
    try:
        with open("/proc/cpuinfo") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
