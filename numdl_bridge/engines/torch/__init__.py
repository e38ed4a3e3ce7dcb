"""The torch engine: native PyTorch, one module a study, batched by construction.

A study's module has

- `answer(inputs, options) -> {quantity: tensor | array | number | Unavailable}`, where `inputs` are
  tensors of the working precision on the chosen device, and may have
- `tasks(inputs, options) -> {task: callable}`, what is worth timing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import psutil
import torch

from ...errors import BadInputError, EngineError
from ...studies.contract import Arrays, Options, Study, check_finite, input_hash, plain_options
from ...studies.observation import Observation, Timing, Unavailable
from ..base import sort_answer
from .compiled import Kernel, noting_kernels
from .provenance import provenance
from .threads import intraop_threads


def to_numpy(value: Any) -> Any:
    """A tensor as a NumPy array on the host (bfloat16 becomes float32, which holds it exactly)."""
    if not isinstance(value, torch.Tensor):
        return value
    host = value.detach().cpu()
    return (host.float() if host.dtype == torch.bfloat16 else host).numpy()


class TorchEngine:
    """Answers studies with PyTorch.

    **Arguments:**

    - `device`: `"cpu"`, `"cuda"`, `"cuda:1"`, `"mps"`; checked when first used.
    - `threads`: intra-op threads while this engine computes; 1 unless asked otherwise, so that
      timings compare with Julia's.
    """

    name = "torch"

    def __init__(self, device: str = "cpu", threads: int = 1) -> None:
        self.device, self.threads = device, threads

    def missing(self) -> str | None:
        return None

    def check_device(self) -> torch.device:
        """The device. Raises `BadInputError` where this PyTorch cannot compute on it."""
        try:
            place = torch.device(self.device)
            torch.zeros(1, device=place)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            # The first sentence: PyTorch adds a list of all that it was ever built for.
            said = str(error).splitlines()[0].partition(". ")[0].partition(" Expected one of")[0]
            raise BadInputError(
                f"device {self.device!r} is not usable: {said[:200]}",
                "a device that this PyTorch reaches; `numdl doctor` lists them",
                "use --device cpu",
            ) from None
        return place

    def _receive(self, study: Study, inputs: Arrays) -> dict[str, torch.Tensor]:
        check_finite(study.name, inputs)
        place = self.check_device()
        return {k: torch.tensor(np.asarray(v, order="C"), device=place) for k, v in inputs.items()}

    def observe(self, study: Study, options: Options, inputs: Arrays) -> Observation:
        module = _module(study.name)
        with intraop_threads(self.threads), noting_kernels() as kernels:
            received = self._receive(study, inputs)
            digest = input_hash({k: to_numpy(v) for k, v in received.items()})
            began = time.perf_counter()
            answer = module.answer(received, options)
            seconds = time.perf_counter() - began
        timings = [Timing(study.name, "answer", (seconds,))]
        compilation = sum(k.seconds for k in kernels if k.began >= began)
        if compilation:
            timings.append(Timing(study.name, "compilation", (compilation,)))
        values, reasons = sort_answer(
            study, self.name, options, {k: to_numpy(v) for k, v in answer.items()}
        )
        return Observation(
            study=study.name,
            engine=self.name,
            options=plain_options(options),
            input_hash=digest,
            values=values,
            unavailable=reasons,
            timings=timings,
            peak_memory=_peak_memory(),
            provenance=provenance(self.device, self.threads) | _steps(kernels),
        )

    def stopwatch(self, study: Study, options: Options, inputs: Arrays) -> TorchStopwatch | None:
        module = _module(study.name)
        if not hasattr(module, "tasks"):
            return None
        tasks = module.tasks(self._receive(study, inputs), options)
        return TorchStopwatch(tasks, self.threads, self.device)

    def close(self) -> None:
        """Nothing runs on after a call."""


def _steps(kernels: Sequence[Kernel]) -> dict[str, str]:
    """How the steps of solvers were carried out: compiled from the user's function, or eagerly."""
    named = {"native": "compiled to C", "script": "torch.jit.script", "eager": "eager"}
    count = Counter(named[k.backend] for k in kernels)
    return {"steps": ", ".join(f"{n} {how}" for how, n in count.items())} if count else {}


class TorchStopwatch:
    """Times tasks with `time.perf_counter`, waiting for the device where there is one."""

    def __init__(
        self, tasks: Mapping[str, Callable[[], object]], threads: int, device: str
    ) -> None:
        self._callables, self._threads = dict(tasks), threads
        self._cuda = device.startswith("cuda")
        self.tasks = tuple(self._callables)

    def sample(self, task: str, calls: int) -> float:
        call = self._callables[task]
        with intraop_threads(self._threads):
            self._wait()
            start = time.perf_counter()
            for _ in range(calls):
                call()
            self._wait()
            return time.perf_counter() - start

    def _wait(self) -> None:
        if self._cuda:
            torch.cuda.synchronize()

    def close(self) -> None:
        self._callables.clear()


def _module(study: str) -> Any:
    try:
        return import_module(f"{__name__}.{study}")
    except ModuleNotFoundError as error:
        if error.name == f"{__name__}.{study}":
            raise EngineError(f"the torch engine has no answer to study {study!r}") from None
        raise


def _peak_memory() -> int:
    """Bytes that this process held at its peak (at the moment where the system does not say)."""
    info = psutil.Process().memory_info()
    try:
        import resource
    except ModuleNotFoundError:  # Windows, where psutil knows the peak itself
        return int(getattr(info, "peak_wset", info.rss))
    import sys

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


__all__ = ["TorchEngine", "TorchStopwatch", "Unavailable", "to_numpy"]
