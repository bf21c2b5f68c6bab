"""GET /metrics: what Prometheus reads, in the names, types and labels of vLLM."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.engine.statistics import Histogram
from vllm_connect.simulator.exchange import (
    Frame,
    Headers,
    RecordedRequest,
    Response,
    Routed,
    Stream,
    text_response,
)

Labels = dict[str, str]
Sample = tuple[str, Labels, float]
"""What stands behind the family's name, the labels, the value."""


class Family(NamedTuple):
    """The samples of one name."""

    name: str
    help: str
    kind: str
    samples: list[Sample]


_COUNTERS: Final = {
    "prefix_cache_queries": "Prefix cache queries, in terms of number of queried tokens.",
    "prefix_cache_hits": "Prefix cache hits, in terms of number of cached tokens.",
    "external_prefix_cache_queries": (
        "External prefix cache queries from KV connector cross-instance cache sharing, in terms of number of queried"
        " tokens."
    ),
    "external_prefix_cache_hits": (
        "External prefix cache hits from KV connector cross-instance cache sharing, in terms of number of cached"
        " tokens."
    ),
    "mm_cache_queries": "Multi-modal cache queries, in terms of number of queried items.",
    "mm_cache_hits": "Multi-modal cache hits, in terms of number of cached items.",
    "num_preemptions": "Cumulative number of preemption from the engine.",
    "prompt_tokens": "Number of prefill tokens processed.",
    "prompt_tokens_cached": "Number of cached prompt tokens (local + external).",
    "generation_tokens": "Number of generation tokens processed.",
}
_HISTOGRAMS: Final = {
    "request_prompt_tokens": "Number of prefill tokens processed.",
    "request_generation_tokens": "Number of generation tokens processed.",
    "iteration_tokens_total": "Histogram of number of tokens per engine_step.",
    "request_max_num_generation_tokens": "Histogram of maximum number of requested generation tokens.",
    "request_params_n": "Histogram of the n request parameter.",
    "request_params_max_tokens": "Histogram of the max_tokens request parameter.",
    "time_to_first_token_seconds": "Histogram of time to first token in seconds.",
    "inter_token_latency_seconds": "Histogram of inter-token latency in seconds.",
    "request_time_per_output_token_seconds": "Histogram of time_per_output_token_seconds per request.",
    "e2e_request_latency_seconds": "Histogram of e2e request latency in seconds.",
    "request_queue_time_seconds": "Histogram of time spent in WAITING phase for request.",
    "request_inference_time_seconds": "Histogram of time spent in RUNNING phase for request.",
    "request_prefill_time_seconds": "Histogram of time spent in PREFILL phase for request.",
    "request_decode_time_seconds": "Histogram of time spent in DECODE phase for request.",
    "request_num_preemptions": "Histogram of the number of times a request was preempted.",
    "request_prefill_kv_computed_tokens": (
        "Histogram of new KV tokens computed during prefill (excluding cached tokens)."
    ),
}
_REASONS: Final = ("stop", "length", "abort", "error", "repetition")
_SLEEP_STATES: Final[dict[str, int | None]] = {"awake": None, "weights_offloaded": 1, "discard_all": 2}
_CACHE_BLOCKS: Final = 512


def answer(_: RecordedRequest, engine: Engine) -> Routed:
    """Tell all that has been counted."""
    return text_response(_exposition(engine), b"text/plain; version=1.0.0; charset=utf-8")


def exported(request: RecordedRequest, engine: Engine) -> Routed:
    """Every other request of a path that begins with /metrics, which another part of vLLM answers."""
    headers: Headers = ((b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),)
    if request.method == "HEAD":
        return Response(headers=headers)
    return Stream((Frame(_exposition(engine)),), headers)


def _exposition(engine: Engine) -> bytes:
    families = (
        *_gauges(engine),
        *_counters(engine),
        *_histograms(engine),
        *_settings(engine),
        *_requests(engine),
    )
    return "".join(line for family in families for line in _lines(family)).encode()


def _gauges(engine: Engine) -> Iterator[Family]:
    model = _of(engine)
    running, waiting = (0, engine.running) if engine.is_held else (engine.running, 0)
    yield _gauge(
        "num_requests_running", "Number of requests in model execution batches.", [("", model, running)]
    )
    yield _gauge(
        "num_requests_waiting", "Number of requests waiting to be processed.", [("", model, waiting)]
    )
    yield _gauge(
        "num_requests_waiting_by_reason",
        "Number of waiting requests by reason. Reason labels: 'capacity' = waiting for scheduling capacity;"
        " 'deferred' = deferred by transient constraints (LoRA budget, KV transfer, blocked status). Sum of all"
        " reasons equals vllm:num_requests_waiting.",
        [("", {**model, "reason": "capacity"}, waiting), ("", {**model, "reason": "deferred"}, 0)],
    )
    yield _gauge(
        "engine_sleep_state",
        "Engine sleep state; awake = 0 means engine is sleeping; awake = 1 means engine is awake; weights_offloaded"
        " = 1 means sleep level 1; discard_all = 1 means sleep level 2.",
        [
            ("", {**model, "sleep_state": name}, float((engine.sleep_level or None) == level))
            for name, level in _SLEEP_STATES.items()
        ],
    )
    used = min(1.0, engine.running / _CACHE_BLOCKS)
    name = engine.options.behaviour.cache_gauge.removeprefix("vllm:")
    yield _gauge(name, "KV-cache usage. 1 means 100 percent usage.", [("", model, used)])


def _counters(engine: Engine) -> Iterator[Family]:
    model, counted = _of(engine), engine.statistics
    for name, shown in _COUNTERS.items():
        yield from _counter(f"vllm:{name}", shown, [("", model, counted.counters[name])], engine)
    finished: list[Sample] = [
        (
            "",
            {"engine": "0", "finished_reason": reason, "model_name": model["model_name"]},
            counted.finished[reason],
        )
        for reason in _REASONS
    ]
    yield from _counter("vllm:request_success", "Count of successfully processed requests.", finished, engine)
    rejected: list[Sample] = [
        ("", {"model_name": model["model_name"], "reason": reason}, counted.rejected[reason])
        for reason in ("max_num_queued_reqs", "max_num_queued_tokens")
    ]
    shown = "Number of admission attempts rejected by a queue limit, by reason."
    yield from _counter("vllm:admission_rejections", shown, rejected, engine)


def _histograms(engine: Engine) -> Iterator[Family]:
    model = _of(engine)
    for name, shown in _HISTOGRAMS.items():
        samples = _buckets(engine.statistics.histograms[name], model)
        yield Family(f"vllm:{name}", shown, "histogram", samples)
        yield Family(f"vllm:{name}_created", shown, "gauge", [("", model, engine.started)])


def _settings(engine: Engine) -> Iterator[Family]:
    options = engine.options
    if options.serves_adapters:
        labels = {"max_lora": "1", "running_lora_adapters": "", "waiting_lora_adapters": ""}
        yield _gauge("lora_requests_info", "Running stats on lora requests.", [("", labels, engine.started)])
    labels = {
        "block_size": str(options.block_size),
        "cache_dtype": "auto",
        "enable_prefix_caching": "True",
        "engine": "0",
        "kv_cache_size_tokens": str(_CACHE_BLOCKS * options.block_size),
        "num_gpu_blocks": str(_CACHE_BLOCKS),
    }
    yield _gauge("cache_config_info", "Information of the LLMEngine CacheConfig", [("", labels, 1)])


def _requests(engine: Engine) -> Iterator[Family]:
    """What the HTTP layer counts, under names of its own."""
    requests = engine.statistics.requests
    samples: list[Sample] = [
        ("", {"handler": handler, "method": method, "status": f"{status}xx"}, count)
        for (handler, method, status), count in requests.items()
    ]
    shown = "Total number of requests by method, status and handler."
    yield from _counter("http_requests", shown, samples, engine)
    by_method: Counter[tuple[str, str]] = Counter()
    for (handler, method, _), count in requests.items():
        by_method[handler, method] += count
    durations: list[Sample] = []
    for (handler, method), count in by_method.items():
        histogram = Histogram((0.1, 0.5, 1))
        histogram.observe(0.0, count)
        durations += _buckets(histogram, {"handler": handler, "method": method})
    shown = "Latency with only few buckets by handler. Made to be only used if aggregation by handler is important. "
    yield Family("http_request_duration_seconds", shown, "histogram", durations)


def _of(engine: Engine) -> Labels:
    return {"engine": "0", "model_name": engine.options.models[0]}


def _gauge(name: str, shown: str, samples: list[Sample]) -> Family:
    return Family(f"vllm:{name}", shown, "gauge", samples)


def _counter(name: str, shown: str, samples: list[Sample], engine: Engine) -> Iterator[Family]:
    yield Family(f"{name}_total", shown, "counter", samples)
    yield Family(
        f"{name}_created", shown, "gauge", [("", labels, engine.started) for _, labels, _ in samples]
    )


def _buckets(histogram: Histogram, labels: Labels) -> list[Sample]:
    counts = histogram.cumulative
    edges = [*(str(float(bound)) for bound in histogram.bounds), "+Inf"]
    return [
        *(
            ("_bucket", dict(sorted({**labels, "le": edge}.items())), count)
            for edge, count in zip(edges, counts, strict=True)
        ),
        ("_count", labels, counts[-1]),
        ("_sum", labels, histogram.sum),
    ]


def _lines(family: Family) -> Iterable[str]:
    yield f"# HELP {family.name} {family.help}\n"
    yield f"# TYPE {family.name} {family.kind}\n"
    for suffix, labels, value in family.samples:
        shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        yield f"{family.name}{suffix}{{{shown}}} {float(value)!r}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
