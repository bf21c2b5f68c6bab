"""Which processor core a process runs on, where the system lets it be chosen."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable


def pin(choose: Callable[[Iterable[int]], int]) -> None:
    """Keep this process on one of its cores: `min` for the client, `max` for the responder; elsewhere do nothing."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, {choose(os.sched_getaffinity(0))})
