"""The engine behind the routes: what runs, what it has read, what it keeps, and whether it sleeps."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from vllm_connect.simulator.engine.prefix_cache import PrefixCache
from vllm_connect.simulator.engine.statistics import Statistics
from vllm_connect.simulator.exchange import Work
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.requests.refusals import BUSY, NO_MODEL, NO_MODEL_NAMED, refuse


@dataclass(frozen=True)
class StoredResponse:
    """A response that was kept: as it is when complete and while under way, what was asked, when it is ready."""

    response: dict[str, Any]
    under_way: dict[str, Any] | None
    messages: list[dict[str, Any]]
    events: tuple[tuple[int, dict[str, Any]], ...]
    ready: float

    def at(self, now: float) -> dict[str, Any]:
        """The response as it is at a time of the monotonic clock."""
        return self.under_way if self.under_way and now < self.ready else self.response


@dataclass
class Engine:
    """The running sequences, what has been counted, the adapters, and whether it sleeps."""

    options: Options
    running: int = 0
    started: float = field(default_factory=time.time)
    adapters: dict[str, str] = field(default_factory=dict)
    responses: dict[str, StoredResponse] = field(default_factory=dict)
    sleep_level: int | None = None
    asleep: set[str] = field(default_factory=set)
    is_paused: bool = False
    weight_version: str = "default"
    awake: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.adapters.update(self.options.lora_modules)
        self._named: dict[str, Work] = {}
        self._aborted: set[str] = set()
        self.statistics = Statistics(self.options)
        self.prefixes = PrefixCache(self.options.block_size)
        self.awake.set()

    def check_model(self, name: str | None) -> None:
        """Refuse a model that is not served; none named is the first one."""
        if name and name not in self.options.models and name not in self.adapters:
            refusal = NO_MODEL if self.options.behaviour.names_aliases else NO_MODEL_NAMED
            raise refuse(refusal, model=name, aliases=", ".join(self.options.models))

    def answering_model(self, name: str | None) -> str:
        """The name a reply carries: the adapter asked for, else always the first alias."""
        return name if name and name in self.adapters else self.options.models[0]

    def check_admission(self, sequences: int) -> None:
        """Refuse what the queue limit does not hold; each of `n` sequences takes a place."""
        limit = self.options.max_num_queued_reqs
        if limit is not None and self.running + sequences > limit:
            self.statistics.rejected["max_num_queued_reqs"] += 1
            raise refuse(BUSY)

    def begin(self, work: Work) -> None:
        """Count work that starts."""
        self.running += work.sequences
        if work.name:
            self._named[work.name] = work

    def end(self, work: Work, *, done: bool) -> None:
        """Count work that ended."""
        self.running -= work.sequences
        self._named.pop(work.name, None)
        self._aborted.discard(work.name)
        if done and work.sequences:
            self.statistics.done(work)

    def abort(self, names: Iterable[str] | None = None) -> None:
        """End named work, or all of it, at its next token."""
        wanted = set(self._named) if names is None else set(names)
        self._aborted |= wanted & self._named.keys()

    def is_aborted(self, name: str) -> bool:
        """Whether this work has been given up."""
        return name in self._aborted

    @property
    def is_held(self) -> bool:
        """Whether work waits: asleep or paused."""
        return self.is_paused or self.sleep_level is not None

    def sleep(self, level: int) -> None:
        """Hold all work from now on; what was put away at this level is named in `asleep`."""
        self.sleep_level = level
        self.asleep = {"weights", "kv_cache"} if level else set()
        self._hold_or_go_on()

    def wake_up(self, tags: Iterable[str] | None = None) -> bool:
        """Bring back what was put away, or these parts of it; tell whether work goes on, pause or no pause."""
        self.asleep = set() if tags is None else self.asleep - set(tags)
        if not self.asleep:
            self.sleep_level, self.is_paused = None, False
            self._hold_or_go_on()
        return not self.asleep

    def pause(self) -> None:
        """Hold all work, awake."""
        self.is_paused = True
        self._hold_or_go_on()

    def resume(self) -> None:
        """Let work go on that a pause held."""
        self.is_paused = False
        if self.sleep_level == 0:
            self.sleep_level = None
        self._hold_or_go_on()

    def _hold_or_go_on(self) -> None:
        if self.is_held:
            self.awake.clear()
        else:
            self.awake.set()
