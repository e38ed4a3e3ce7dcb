"""numdl-bridge: the same case study in PyTorch and in Julia, from the same bits.

```python
import numdl_bridge as nb

result = nb.run("gradient_test", n_steps=30)      # torch, the referee, and Julia live or recorded
print(result)                                     # tables; HTML in a notebook
result.gradients, result.inverses, result.timings, result.claims      # pandas
result.values["torch"]["gradient/rk4/0"]          # arrays
```

Names are loaded when they are first used: importing this package imports neither torch nor Julia.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import rendering
from .version import __version__

if TYPE_CHECKING:
    from .errors import BadInputError, EngineError, NumDLError, TamperedError, UnknownNameError
    from .models.functions import compare_gradients
    from .models.mirror import mirror
    from .models.modules import compare_module
    from .models.ode import compare_ode
    from .runs.budget import Budget
    from .runs.judging import open_run, rescore
    from .runs.results import RunResult, StudyResult
    from .runs.runner import run
    from .runs.sweep import sweep
    from .studies import all_studies, get_study

_HOMES = {
    "compare_gradients": "models.functions",
    "compare_module": "models.modules",
    "compare_ode": "models.ode",
    "mirror": "models.mirror",
    "run": "runs.runner",
    "open_run": "runs.judging",
    "rescore": "runs.judging",
    "sweep": "runs.sweep",
    "Budget": "runs.budget",
    "RunResult": "runs.results",
    "StudyResult": "runs.results",
    "all_studies": "studies",
    "get_study": "studies",
    "NumDLError": "errors",
    "BadInputError": "errors",
    "EngineError": "errors",
    "TamperedError": "errors",
    "UnknownNameError": "errors",
}

__all__ = [
    "BadInputError",
    "Budget",
    "EngineError",
    "NumDLError",
    "RunResult",
    "StudyResult",
    "TamperedError",
    "UnknownNameError",
    "__version__",
    "all_studies",
    "compare_gradients",
    "compare_module",
    "compare_ode",
    "get_study",
    "mirror",
    "open_run",
    "rescore",
    "run",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def _as_text(*results: Any) -> str:
    from .report.terminal import as_text

    return as_text(*results)


def _as_html(*results: Any) -> str:
    from .report.html import fragment

    return "".join(fragment(result) for result in results)


rendering.use(text=_as_text, html=_as_html)
