"""Whether replicas serve the same: which of them a model must not be asked of, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vllm_connect.facts import ServedModel

__all__ = ["Disagreement", "disagreements"]


@dataclass(frozen=True)
class Disagreement:
    """One replica that is not to be asked for one model."""

    replica: str
    model: str
    reason: str


def disagreements(served: Mapping[str, Sequence[ServedModel]]) -> Iterator[Disagreement]:
    """Yield where a replica lacks a model that another serves, or serves it with a shorter context.

    `served` holds the models of each replica that could be asked. A context that is not told is no shorter one.
    """
    contexts = {
        replica: {model.id: model.max_model_len for model in models} for replica, models in served.items()
    }
    for model in sorted({name for lengths in contexts.values() for name in lengths}):
        longest = max((lengths.get(model) or 0 for lengths in contexts.values()), default=0)
        for replica, lengths in contexts.items():
            if model not in lengths:
                reason = f"not asked for {model}: it serves {', '.join(lengths) or 'no model'}"
                yield Disagreement(replica, model, reason)
            elif (lengths[model] or longest) < longest:
                reason = f"not asked for {model}: its context is {lengths[model]}, that of another {longest}"
                yield Disagreement(replica, model, reason)
