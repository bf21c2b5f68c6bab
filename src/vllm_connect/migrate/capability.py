"""What code asks of a server held against what a server says of itself: endpoints, models, parameters; pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from vllm_connect.facts import ROUTES, Route, ServerFacts
from vllm_connect.facts.parameters import PATHS, TABLE, RequestKind
from vllm_connect.migrate.demands import ENDPOINT, MODEL, TOO_LONG, UNREAD, finding, value_of
from vllm_connect.migrate.finding import Finding
from vllm_connect.migrate.usage import Usage
from vllm_connect.parameters import looked_over

__all__ = ["unmet"]

BY_PATH: dict[str, Route] = {route.path.removeprefix("/v1"): route for route in ROUTES}
LENGTHS = frozenset({"max_tokens", "max_completion_tokens", "max_output_tokens"})


def unmet(usages: Iterable[Usage], facts: ServerFacts) -> Iterator[Finding]:
    """Yield what the server cannot do of what is asked; what it does not tell of itself is taken to be there."""
    for usage in usages:
        yield from JUDGES[usage.what](usage, facts)


def _kind_of_path(path: str) -> RequestKind | None:
    """Return the kind of request that goes to a path below the API, None for those without a table."""
    return next((kind for kind, own in PATHS.items() if own == path), None)


def _endpoint(usage: Usage, facts: ServerFacts) -> Iterator[Finding]:
    route = BY_PATH.get(usage.name)
    if route is not None and route.service is not None and facts.serves and route.service not in facts.serves:
        yield finding(
            usage, ENDPOINT, f"{facts.url} does not serve {usage.name}; vLLM serves it {route.brought_by}"
        )


def _model(usage: Usage, facts: ServerFacts) -> Iterator[Finding]:
    served = [model.id for model in facts.models]
    if not served or usage.name in served:
        return
    nearest = difflib.get_close_matches(usage.name, served, n=1, cutoff=0.0)[0]
    yield finding(
        usage,
        MODEL,
        f"{facts.url} does not serve `{usage.name}`; it serves {', '.join(served)}",
        f"Name one that it serves (--model-map {usage.name}={nearest}), or start it with --served-model-name {usage.name}.",
    )


def _parameter(usage: Usage, facts: ServerFacts) -> Iterator[Finding]:
    kind = _kind_of_path(usage.of)
    row = TABLE[kind].get(usage.name) if kind is not None else None
    if kind is None or row is None:
        return
    value = value_of(usage)
    context = facts.max_model_len
    if usage.name in LENGTHS and isinstance(value, int) and context is not None and value >= context:
        yield finding(
            usage,
            TOO_LONG,
            f"{usage.name} asks for {value} tokens, and the context of {facts.url} has {context} for prompt and answer",
        )
    # What no vLLM of today reads is said without a server.
    if row.effect == "ignores" or row.last:
        return
    verdict = looked_over(kind, {usage.name: value}, facts, "warn")
    if verdict.refused:
        yield finding(usage, UNREAD, verdict.reason.removesuffix(" Nothing was sent."), verdict.fix)
    for one in verdict.adaptations:
        if one.action == "ignored" and not verdict.refused:
            yield finding(usage, UNREAD, one.message)


JUDGES = {"endpoint": _endpoint, "model": _model, "parameter": _parameter}
