"""How many threads torch's operations use, inside a `with` block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def intraop_threads(number: int) -> Iterator[None]:
    """Set torch's intra-op threads of this process, and restore them at the end of the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
