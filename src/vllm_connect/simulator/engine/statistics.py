"""What a server counts of its work, as /metrics tells it."""

import bisect
from collections import Counter
from typing import Final

from vllm_connect.simulator.exchange import Work
from vllm_connect.simulator.options import Options

_COUNTS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_BETWEEN_TOKENS: Final = (
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
)  # fmt: skip
_LATENCY: Final = (
    0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680,
)  # fmt: skip

# The histograms in the order they are told, with the upper bounds of their buckets.
BOUNDS: Final[dict[str, tuple[float, ...]]] = {
    "request_prompt_tokens": _COUNTS,
    "request_generation_tokens": _COUNTS,
    "iteration_tokens_total": (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384),
    "request_max_num_generation_tokens": _COUNTS,
    "request_params_n": (1, 2, 5, 10, 20),
    "request_params_max_tokens": _COUNTS,
    "time_to_first_token_seconds": (
        0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160,
        640, 2560,
    ),
    "inter_token_latency_seconds": _BETWEEN_TOKENS,
    "request_time_per_output_token_seconds": _BETWEEN_TOKENS,
    "e2e_request_latency_seconds": _LATENCY,
    "request_queue_time_seconds": _LATENCY,
    "request_inference_time_seconds": _LATENCY,
    "request_prefill_time_seconds": _LATENCY,
    "request_decode_time_seconds": _LATENCY,
    "request_num_preemptions": (1, 2, 3, 4, 5, 10, 20),
    "request_prefill_kv_computed_tokens": _COUNTS,
}  # fmt: skip


class Histogram:
    """How often values fell below each of some bounds."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.sum = 0.0
        self._buckets = [0] * (len(bounds) + 1)

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value."""
        self._buckets[bisect.bisect_left(self.bounds, value)] += times
        self.sum += value * times

    @property
    def cumulative(self) -> list[int]:
        """How many values were no greater than each bound, and how many there were."""
        total, counts = 0, []
        for count in self._buckets:
            total += count
            counts.append(total)
        return counts


_MOST_UNCOUNTED: Final = 1000


class Statistics:
    """Counters and histograms since the start; what was done is counted when someone asks, or it is too much."""

    def __init__(self, options: Options) -> None:
        self.rejected: Counter[str] = Counter()
        self.requests: Counter[tuple[str, str, int]] = Counter()
        """Requests by route, method and the first digit of their status."""
        self._options = options
        self._uncounted: list[Work] = []
        self._counters: Counter[str] = Counter()
        self._finished: Counter[str] = Counter()
        self._histograms = {name: Histogram(bounds) for name, bounds in BOUNDS.items()}

    def done(self, work: Work) -> None:
        """Hear of work that was done."""
        self._uncounted.append(work)
        if len(self._uncounted) >= _MOST_UNCOUNTED:
            self._count()

    @property
    def counters(self) -> Counter[str]:
        """What has been read, found and written."""
        self._count()
        return self._counters

    @property
    def finished(self) -> Counter[str]:
        """How many sequences ended for which reason."""
        self._count()
        return self._finished

    @property
    def histograms(self) -> dict[str, Histogram]:
        """How long requests were and took, as the settings say."""
        self._count()
        return self._histograms

    def _count(self) -> None:
        uncounted, self._uncounted = self._uncounted, []
        for work in uncounted:
            self._counters.update(
                prompt_tokens=work.prompt_tokens,
                prompt_tokens_cached=work.cached_tokens,
                prefix_cache_queries=work.prompt_tokens,
                prefix_cache_hits=work.cached_tokens,
                generation_tokens=work.completion_tokens,
            )
            self._finished.update(work.reasons or ("stop",) * work.sequences)
            for tokens in work.lengths or (0,) * work.sequences:
                self._count_sequence(work, tokens)

    def _count_sequence(self, work: Work, tokens: int) -> None:
        read = work.prompt_tokens // max(work.sequences, 1)
        first, between = self._options.first_token_delay, self._options.token_delay
        decode = max(tokens - 1, 0) * between
        observed = {
            "request_prompt_tokens": read,
            "request_generation_tokens": tokens,
            "request_max_num_generation_tokens": tokens,
            "request_params_n": work.sequences,
            "time_to_first_token_seconds": first,
            "request_time_per_output_token_seconds": between if tokens > 1 else 0.0,
            "e2e_request_latency_seconds": first + decode,
            "request_queue_time_seconds": 0.0,
            "request_inference_time_seconds": first + decode,
            "request_prefill_time_seconds": first,
            "request_decode_time_seconds": decode,
            "request_num_preemptions": 0,
            "request_prefill_kv_computed_tokens": max(read - work.cached_tokens, 0),
        }
        for name, value in observed.items():
            self._histograms[name].observe(value)
        if work.max_tokens is not None:
            self._histograms["request_params_max_tokens"].observe(work.max_tokens)
        self._histograms["iteration_tokens_total"].observe(max(read, 1))
        if tokens > 1:
            self._histograms["iteration_tokens_total"].observe(1, tokens - 1)
            self._histograms["inter_token_latency_seconds"].observe(between, tokens - 1)
