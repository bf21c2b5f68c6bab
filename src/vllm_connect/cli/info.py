"""`vllm-connect info`: what a server is and how busy it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from vllm_connect.cli.options import Connection, Json, Timeout, connecting
from vllm_connect.cli.terminal import print_json, print_table

if TYPE_CHECKING:
    from vllm_connect import OpenAI
    from vllm_connect.client.server import Metrics
    from vllm_connect.facts import ServedModel, ServerFacts

__all__ = ["info"]

T = TypeVar("T")

UNKNOWN = "unknown"
# Readings are an extra: a server that is too busy to give them is told about without them.
READING_SECONDS = 5.0


@connecting
def info(connection: Connection, timeout: Timeout = None, json: Json = False) -> None:
    """Show what a server is, and how busy it is; of several replicas each one's state.

    Version, models, kinds of request, whether it wants a key, load and metrics; what it, or a gateway before
    it, does not tell is shown as unknown.
    """
    with connection.client(timeout=timeout) as client:
        if client.settings.has_replicas:
            _show_replicas(list(_replicas(client)), json=json)
            return
        facts = client.server.info()
        quick = client.with_options(timeout=READING_SECONDS if timeout is None else timeout, max_retries=0)
        load, metrics = _reading(quick.server.load), _reading(quick.server.metrics)
    if json:
        print_json(
            {**_document(facts), "load": load, "metrics": None if metrics is None else _counts(metrics)}
        )
    else:
        print_table(("", ""), (*_rows(facts), ("load", _load(load)), *_busy(metrics)))


@dataclasses.dataclass(frozen=True)
class _Replica:
    """One of several replicas: where it is, whether calls go to it or why not, what it is, how busy."""

    server: str
    state: str
    reason: str
    version: str | None
    models: tuple[str, ...]
    running: float | None
    waiting: float | None


def _replicas(client: OpenAI) -> Iterator[_Replica]:
    """Ask each replica by itself, after one call that compares what they serve."""
    from openai import APIError  # noqa: PLC0415

    client.models.list()
    for state in client.server.replicas():
        alone = client.with_options(base_url=[state.name], max_retries=0)
        try:
            facts = alone.server.info()
        except APIError as error:
            reason = getattr(error, "reason", error.message)
            yield _Replica(state.name, "away", reason, None, (), None, None)
            continue
        metrics = _reading(alone.with_options(timeout=READING_SECONDS).server.metrics)
        models = tuple(_model(model) for model in facts.models)
        running, waiting = (None, None) if metrics is None else (metrics.running, metrics.waiting)
        yield _Replica(state.name, state.state, state.reason, facts.version, models, running, waiting)


def _show_replicas(replicas: list[_Replica], *, json: bool) -> None:
    if json:
        print_json({"replicas": [dataclasses.asdict(replica) for replica in replicas]})
        return
    print_table(
        ("replica", "state", "vLLM", "models", "running", "waiting"),
        (
            (
                replica.server,
                f"{replica.state}; {replica.reason}" if replica.reason else replica.state,
                replica.version or UNKNOWN,
                ", ".join(replica.models) or UNKNOWN,
                _known(replica.running),
                _known(replica.waiting),
            )
            for replica in replicas
        ),
    )


def _reading(ask: Callable[[], T]) -> T | None:
    from openai import APIError  # noqa: PLC0415

    try:
        return ask()
    except APIError:
        return None


def _document(facts: ServerFacts) -> dict[str, Any]:
    return {
        "server": facts.url,
        "is_vllm": facts.is_vllm,
        "version": facts.version,
        "kind": facts.kind,
        "models": [dataclasses.asdict(model) for model in facts.models],
        "serves": None if facts.serves is None else sorted(facts.serves),
        "needs_key": facts.needs_key,
    }


def _counts(metrics: Metrics) -> dict[str, float | None]:
    names = (field.name for field in dataclasses.fields(metrics) if field.name != "samples")
    counts = {name: getattr(metrics, name) for name in names}
    return {**counts, "prefix_cache_hit_rate": metrics.prefix_cache_hit_rate}


def _rows(facts: ServerFacts) -> Iterator[tuple[str, str]]:
    yield "server", facts.url
    yield "vLLM", facts.version or ("not a vLLM" if facts.is_vllm is False else "version unknown")
    yield "kind", facts.kind or UNKNOWN
    for model in facts.models:
        yield "model", _model(model)
    yield "serves", UNKNOWN if facts.serves is None else ", ".join(sorted(facts.serves))
    yield "API key", {True: "needed", False: "not needed", None: UNKNOWN}[facts.needs_key]


def _model(model: ServedModel) -> str:
    context = "context unknown" if model.max_model_len is None else f"context {model.max_model_len}"
    adapter = "" if model.parent is None else f", adapter of {model.parent}"
    return f"{model.id} ({context}{adapter})"


def _load(load: int | None) -> str:
    # vLLM answers 0 unless it was told to count.
    told = {None: UNKNOWN, 0: "0 requests in flight, or not counted (--enable-server-load-tracking)"}
    return told.get(load, f"{load} requests in flight")


def _busy(metrics: Metrics | None) -> Iterator[tuple[str, str]]:
    if metrics is None:
        yield "metrics", UNKNOWN
        return
    yield (
        "requests",
        f"{_known(metrics.running)} running, {_known(metrics.waiting)} waiting, {_known(metrics.finished)} finished",
    )
    yield "tokens", f"{_known(metrics.prompt_tokens)} read, {_known(metrics.generation_tokens)} generated"
    usage = metrics.kv_cache_usage
    yield (
        "KV cache",
        f"{UNKNOWN if usage is None else format(usage, '.0%')} used, {_known(metrics.preemptions)} preemptions",
    )
    rate = metrics.prefix_cache_hit_rate
    yield "prefix cache", UNKNOWN if rate is None else f"{rate:.0%} of the tokens looked up were found"


def _known(count: float | None) -> str:
    return UNKNOWN if count is None else str(count)
