"""What the server was found to serve, shared by a client and its copies."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel

from vllm_connect.client.long_calls import Carriage
from vllm_connect.client.oddities import Oddities
from vllm_connect.facts import ServedModel, ServerFacts
from vllm_connect.wire.forks import forget_in_children

if TYPE_CHECKING:
    from vllm_connect.parameters import Adaptation

__all__ = ["Catalogue"]


@dataclass(eq=False)
class Catalogue:
    """The served models as last listed, None before the first time.

    `was_asked` says that they were asked for to learn which kind of server it is, which is done until it answers.
    `dialect` is what tells which parameters the server knows, as it was at `dialect_from`; `adaptations` what was done
    about those that it does not, each kind once.

    Mutable and shared by threads and tasks: each assignment replaces a whole frozen value, so that the worst
    of a race is a list asked for twice.
    """

    models: tuple[ServedModel, ...] | None = None
    was_asked: bool = False
    carriage: Carriage = field(default_factory=Carriage)
    oddities: Oddities = field(default_factory=Oddities)
    dialect: ServerFacts | None = None
    dialect_from: float = -math.inf
    adaptations: dict[tuple[str, ...], Adaptation] = field(default_factory=dict)
    # Who asks the server what it is lets others wait for the answer: threads here, tasks by event loop below.
    asking: threading.Lock = field(default_factory=threading.Lock)
    _asking_tasks: dict[Any, anyio.Lock] = field(default_factory=dict)

    def __post_init__(self) -> None:
        forget_in_children(self)

    def forget(self) -> None:
        """Leave a question that is under way to the process that this one was forked from."""
        self.asking = threading.Lock()
        self._asking_tasks = {}

    def note(self, adaptation: Adaptation) -> bool:
        """Keep an adaptation; return whether it is the first of its kind."""
        key = (adaptation.request, adaptation.parameter, adaptation.action, adaptation.became)
        return self.adaptations.setdefault(key, adaptation) is adaptation

    def asking_task(self) -> anyio.Lock:
        """Return the lock of this event loop, that one task asks what the others wait for."""
        loop = anyio.lowlevel.current_token()
        lock = self._asking_tasks.get(loop)
        if lock is None:
            self._asking_tasks.clear()  # of loops that are over: who still waits holds its lock itself
            lock = self._asking_tasks[loop] = anyio.Lock()
        return lock
