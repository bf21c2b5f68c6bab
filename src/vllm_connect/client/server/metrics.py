"""What `/metrics` tells: the readings that people look at, by their names in every release, and all samples."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vllm_connect.client.server.exposition import Sample, parse_samples

__all__ = ["Metrics", "read_metrics"]


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """The state of a server, over all its engines; None is what it does not tell.

    Counts of now: `running` and `waiting` requests, `kv_cache_usage` from 0 to 1 (the mean of the engines). Totals
    since the start: `prompt_tokens`, `generation_tokens`, `finished` requests, `preemptions`, `rejected` requests
    (the queue was full), and tokens looked up (`prefix_cache_queries`) and found (`prefix_cache_hits`) in the
    prefix cache. `samples` holds everything, histograms included, as it came.
    """

    running: int | None = None
    waiting: int | None = None
    kv_cache_usage: float | None = None
    prompt_tokens: int | None = None
    generation_tokens: int | None = None
    prefix_cache_queries: int | None = None
    prefix_cache_hits: int | None = None
    preemptions: int | None = None
    finished: int | None = None
    rejected: int | None = None
    samples: tuple[Sample, ...] = field(default=(), repr=False)

    @property
    def prefix_cache_hit_rate(self) -> float | None:
        """The part of the prompt tokens looked up that was found, from 0 to 1; None where none was looked up."""
        if not self.prefix_cache_queries or self.prefix_cache_hits is None:
            return None
        return self.prefix_cache_hits / self.prefix_cache_queries


# What vLLM calls each count; the first name that is there counts, as some releases had two for the same thing.
COUNTS: Mapping[str, tuple[str, ...]] = {
    "running": ("vllm:num_requests_running",),
    "waiting": ("vllm:num_requests_waiting",),
    "prompt_tokens": ("vllm:prompt_tokens_total",),
    "generation_tokens": ("vllm:generation_tokens_total",),
    # Counted in tokens; until 0.11 named after the GPU, which the KV cache need not be on.
    "prefix_cache_queries": ("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"),
    "prefix_cache_hits": ("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"),
    "preemptions": ("vllm:num_preemptions_total",),
    "finished": ("vllm:request_success_total",),
    "rejected": ("vllm:admission_rejections_total",),
}
USAGES = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")


def read_metrics(text: str) -> Metrics:
    """Return what a text of `/metrics` tells; raises ValueError where it is not one, or empty."""
    samples = parse_samples(text)
    if not samples:
        raise ValueError("no samples")
    values: defaultdict[str, list[float]] = defaultdict(list)
    for sample in samples:
        if math.isfinite(sample.value):
            values[sample.name].append(sample.value)
    usage = _first(values, USAGES)
    return Metrics(
        **{name: int(sum(found)) for name, known in COUNTS.items() if (found := _first(values, known))},
        kv_cache_usage=sum(usage) / len(usage) if usage else None,
        samples=samples,
    )


def _first(values: Mapping[str, list[float]], names: Iterable[str]) -> list[float]:
    return next((values[name] for name in names if name in values), [])
