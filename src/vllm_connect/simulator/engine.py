"""What changes while a simulated server runs; touched by its event loop alone."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from vllm_connect.simulator.exchange import Work
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.requests.refusals import BUSY, NO_MODEL, NO_MODEL_NAMED, refuse


@dataclass
class Engine:
    """The running sequences, what has been counted, the adapters, and whether it sleeps."""

    options: Options
    running: int = 0
    totals: Counter[str] = field(default_factory=Counter)
    adapters: dict[str, str] = field(default_factory=dict)
    sleep_level: int | None = None
    awake: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.adapters.update(self.options.lora_modules)
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
            raise refuse(BUSY)

    def begin(self, work: Work) -> None:
        """Count work that starts."""
        self.running += work.sequences

    def end(self, work: Work, *, done: bool) -> None:
        """Count work that ended."""
        self.running -= work.sequences
        if done:
            self.totals.update(
                prompt=work.prompt_tokens, generation=work.completion_tokens, finished=work.sequences
            )

    def sleep(self, level: int) -> None:
        """Hold all work from now on."""
        self.sleep_level = level
        self.awake.clear()

    def wake_up(self) -> None:
        """Let held work go on."""
        self.sleep_level = None
        self.awake.set()
