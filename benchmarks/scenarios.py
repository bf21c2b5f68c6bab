"""The measurements as a table: what is done, on how many connections, and which goals it has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from benchmarks.goals import AtLeastTimes, AtMost, AtMostMore, Goal, Side
from benchmarks.measurements import (
    Measured,
    Server,
    blocking,
    blocking_calls,
    blocking_streams,
    calls,
    dense,
    embeddings,
    held,
    imports,
    looks,
    on_asyncio,
    paced,
    raw_calls,
    soak,
)
from benchmarks.meter import Meter


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row: `work` is run in a process of its own for each side and round."""

    name: str
    title: str
    connections: int
    work: Callable[[Side, Server, Meter], Measured]
    goals: tuple[Goal, ...]
    sides: tuple[Side, ...] = ("openai", "ours", "floor")
    default: bool = field(default=True, kw_only=True)


_CLIENTS: Final[tuple[Side, ...]] = ("openai", "ours")
# The floor's lag is the responder's own, and the machine's.
_KEPT_UP: Final = AtMostMore(
    "lag_seconds", 0.25, "floor", "seconds behind 12,800 chunks a second, beyond the floor"
)
_LOOKED_OVER: Final = AtMostMore("cpu_us", 2, "openai", "us CPU for a look at a clean request")
_FITS: Final = AtMost("memory_mb", 120, "MB for all of them")
_IMPORTED: Final = AtMostMore("import_ms", 50, "openai", "ms CPU beyond `import openai`")
_FLAT: Final = AtMost("growth_mb", 2, "MB more after warm-up")
_CLOSED: Final = AtMost("more_descriptors", 0, "descriptors more after warm-up")
# What holds itself in a ring stays, body and all, until the collector comes.
_FREED: Final = AtMost("garbage", 0.1, "objects a call that only the collector frees")

TABLE: Final = (
    Scenario("calls", "async call, 32 at once", 32, on_asyncio(calls), (AtLeastTimes(25),)),
    Scenario("stream", "async chunk, 32 dense streams", 32, on_asyncio(dense), (AtLeastTimes(12),)),
    Scenario(
        "paced",
        "async chunk, 256 streams every 20 ms",
        256,
        on_asyncio(paced),
        (AtLeastTimes(4), _KEPT_UP),
    ),
    Scenario("sync-calls", "blocking call", 1, blocking(blocking_calls), (AtLeastTimes(12),)),
    Scenario("sync-stream", "blocking chunk, dense", 1, blocking(blocking_streams), (AtLeastTimes(12),)),
    Scenario("tls", "async call over TLS, 32 at once", 32, on_asyncio(calls, tls=True), (AtLeastTimes(15),)),
    Scenario("raw", "async raw-response call, 32 at once", 32, on_asyncio(raw_calls), (AtLeastTimes(8),)),
    Scenario("embeddings", "async 100 embeddings of 1,024", 4, on_asyncio(embeddings), (AtLeastTimes(2),)),
    Scenario("check", "a clean request looked over", 0, looks, (_LOOKED_OVER,), _CLIENTS),
    Scenario("memory", "1,000 open streams", 1000, on_asyncio(held), (_FITS,), _CLIENTS),
    Scenario("imports", "a fresh interpreter", 0, imports, (_IMPORTED,), _CLIENTS),
    Scenario(
        "soak",
        "100,000 calls (openai: 10,000)",
        32,
        soak,
        (_FLAT, _CLOSED, _FREED),
        _CLIENTS,
        default=False,
    ),
)
