"""What differs: metrics, budgets, verdicts, the register of known differences, tables.

```python
comparison = compare_study(study, options, {"torch": ..., "referee": ...})
comparison.ok, comparison.worst()
tables.gradients(comparison)
```
"""

from .budget import REFEREE, Tolerance, check_overrides
from .claims import ClaimResult, PublishedResult
from .comparison import ENGINES, Comparison, compare_study
from .difference import Difference
from .explain import explain
from .register import Known, Register, default_register, read_register
from .verdicts import SEVERITY, VERDICTS, Verdict, gravest

__all__ = [
    "ENGINES",
    "REFEREE",
    "SEVERITY",
    "VERDICTS",
    "ClaimResult",
    "Comparison",
    "Difference",
    "Known",
    "PublishedResult",
    "Register",
    "Tolerance",
    "Verdict",
    "check_overrides",
    "compare_study",
    "default_register",
    "explain",
    "gravest",
    "read_register",
]
