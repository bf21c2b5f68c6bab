"""What one process uses: CPU, wall clock, memory, descriptors."""

from __future__ import annotations

import cProfile
import gc
import resource
import sys
import time
from pathlib import Path
from typing import Self

_PAGES = Path("/proc/self/statm")


class Meter:
    """Takes CPU and wall time of the one part of a scenario that counts, and profiles it if asked to."""

    def __init__(self, profile: cProfile.Profile | None = None) -> None:
        self.cpu_seconds = 0.0
        self.wall_seconds = 0.0
        self._profile = profile

    def __enter__(self) -> Self:
        gc.collect()
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        if self._profile is not None:
            self._profile.enable()
        return self

    def __exit__(self, *_raised: object) -> None:
        if self._profile is not None:
            self._profile.disable()
        self.cpu_seconds = time.process_time() - self._cpu
        self.wall_seconds = time.perf_counter() - self._wall

    def microseconds_per(self, units: int) -> float:
        return self.cpu_seconds / units * 1e6


def resident_megabytes() -> float:
    """Return what of this process is in memory: now where the system tells it, else the most there was."""
    gc.collect()
    if _PAGES.exists():
        return int(_PAGES.read_text().split()[1]) * resource.getpagesize() / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def garbage_found() -> int:
    """Return how many objects the collector has had to free so far: those that held each other in a ring."""
    gc.collect()
    return sum(generation["collected"] for generation in gc.get_stats())


def open_descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))
