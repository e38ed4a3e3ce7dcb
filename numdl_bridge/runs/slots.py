"""Which engines answer a run: torch, the referee, and whoever fills the Julia slot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from ..engines.base import Engine
from ..errors import BadInputError, EngineError
from .recordings import RecordedEngine

JuliaMode = Literal["auto", "live", "recorded", "off"]


@dataclass
class Slots:
    """**Arguments:**

    - `engines`: those that answer, in the order of the tables.
    - `absent`: reason by name, of those that do not.
    - `notes`: one line each on what stands in for what.
    """

    engines: list[Engine]
    absent: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def close(self) -> None:
        for engine in self.engines:
            engine.close()


def choose_engines(
    julia: str = "auto",
    device: str = "cpu",
    threads: int = 1,
    recordings: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
    sequential: bool = False,
) -> Slots:
    """The engines of a run.

    `julia="auto"` takes a live Julia where one is ready, else its recordings, else none, and says
    which; `live` insists. With `sequential` the referee computes in this process and not beside it.
    Raises `BadInputError` for an unknown mode or a thread count below one, and `EngineError` where
    a live Julia is demanded and there is none.
    """
    from ..engines.referee import RefereeEngine
    from ..engines.referee.process import RefereeProcess
    from ..engines.torch import TorchEngine

    if julia not in get_args(JuliaMode):
        raise BadInputError(f"--julia {julia!r}", f"one of {', '.join(get_args(JuliaMode))}")
    if not isinstance(threads, int) or threads < 1:
        raise BadInputError(f"{threads!r} threads", "a whole number of at least 1")
    torch_engine = TorchEngine(device, threads)
    torch_engine.check_device()  # before anything that takes longer
    slots = Slots([torch_engine])
    _fill_julia_slot(slots, julia, recordings, say, threads)
    slots.engines.append(RefereeEngine() if sequential else RefereeProcess())
    return slots


def _fill_julia_slot(
    slots: Slots,
    mode: str,
    recordings: Path | None,
    say: Callable[[str], None],
    threads: int,
) -> None:
    if mode == "off":
        slots.absent["julia"] = "switched off by --julia off"
        return
    reason = None
    if mode in ("live", "auto"):
        live, reason = live_julia(mode == "live", say, threads)
        if live is not None:
            slots.engines.append(live)
            return
        if mode == "live":
            raise EngineError(
                f"--julia live, and there is none: {reason}",
                "a Julia that is ready",
                "`numdl julia status` says more; --julia recorded replays what it once answered",
            )
    recorded = RecordedEngine("julia", recordings)
    nothing = recorded.missing()
    if nothing:
        slots.absent["julia"] = f"{reason}; {nothing}" if reason else nothing
    else:
        slots.engines.append(recorded)
        why = f": {reason}" if reason else ""
        slots.notes.append(f"Julia is replayed from its recordings, where one fits{why}")


def live_julia(
    insist: bool = False, say: Callable[[str], None] = lambda line: None, threads: int = 1
) -> tuple[Engine | None, str | None]:
    """The Julia engine, started, or None with the reason why there is none.

    With `insist` one that could be installed now is installed, which takes minutes; without, only
    one that is ready is started, so that nobody's first run installs a second language unasked.
    """
    from ..engines.julia.engine import JuliaEngine

    engine = JuliaEngine(progress=say, threads=threads)
    found = engine.readiness()
    if found.state == "missing" or (found.state == "installable" and not insist):
        return None, f"{found.reason}; {found.remedy}" if found.remedy else found.reason
    try:
        engine.start()
    except EngineError as error:
        engine.close()
        return None, str(error)
    return engine, None
