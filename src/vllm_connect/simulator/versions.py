"""What vLLM releases do differently: which release brought a change, and how it was before.

Rules and ranges that came with a release carry it themselves (`since`); what took another form stands here.
Sources: the release sources from 0.8.5 on; the oldest of them is the oldest that is told apart.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, NamedTuple

Release = tuple[int, ...]

OLDEST: Final = "0.8.5"
NEWEST: Final = "0.32.0"

_NUMBERS = re.compile(r"\d+(?:\.\d+)*")


@dataclass(frozen=True)
class Behaviour:
    """The forms that differ between releases; the defaults are those of the newest."""

    reasoning_names: tuple[str, ...] = ("reasoning",)
    """What the field of a message is called that holds its reasoning."""
    constraint_names: tuple[str, ...] = ("structured_outputs",)
    """Which parameters constrain the output; others of these are ignored."""
    reasoning_efforts: tuple[str, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
    guarded: tuple[str, ...] = ("/v1", "/v2", "/inference", "/cohere")
    """The prefixes of the paths that want the key."""
    clamps_output: bool = True
    """Whether max_tokens beyond the context is cut to what is left, in place of a refusal."""
    names_aliases: bool = True
    """Whether the refusal of a model names the ones that are served."""
    nests_errors: bool = True
    """Whether an error's fields stand in an object `error`, and not beside `"object": "error"`."""
    tells_fingerprint: bool = True
    counts_reasoning: bool = True
    allows_any_origin: bool = False
    """Whether pages of any origin may call (CORS)."""
    wrong_media_status: int = 400
    cache_gauge: str = "vllm:kv_cache_usage_perc"


class Change(NamedTuple):
    """A release that changed a form, and its form before."""

    since: str
    form: str
    before: Any


_GUIDED = ("guided_json", "guided_regex", "guided_choice", "guided_grammar", "guided_json_object")

# Newest first: of several changes of one form the oldest that applies is the one in force.
CHANGES: Final = (
    Change("0.32.0", "clamps_output", before=False),
    Change("0.32.0", "names_aliases", before=False),
    Change("0.32.0", "allows_any_origin", before=True),
    Change("0.28.0", "counts_reasoning", before=False),
    Change("0.28.0", "guarded", before=("/v1", "/v2", "/inference")),
    Change("0.22.0", "tells_fingerprint", before=False),
    Change("0.22.0", "guarded", before=("/v1",)),
    Change("0.22.0", "reasoning_efforts", before=("none", "low", "medium", "high")),
    Change("0.18.0", "reasoning_efforts", before=("low", "medium", "high")),
    Change("0.16.0", "reasoning_names", before=("reasoning", "reasoning_content")),
    Change("0.12.0", "constraint_names", before=("structured_outputs", *_GUIDED)),
    Change("0.12.0", "cache_gauge", before="vllm:gpu_cache_usage_perc"),
    Change("0.11.2", "reasoning_names", before=("reasoning_content",)),
    Change("0.11.0", "constraint_names", before=_GUIDED),
    Change("0.10.2", "nests_errors", before=False),
    Change("0.9.2", "wrong_media_status", before=415),
)


# The releases that brought routes: the first one seen to have them.
ROUTES_SINCE: Final = {
    "/v1/systemone": "0.32.0",
    "/kv_event_sources": "0.31.0",
    "/v1/chat/completions/batch": "0.20.0",
    "/generative_scoring": "0.20.0",
    "/v1/messages/count_tokens": "0.18.0",
    "/v1/messages": "0.11.2",
    "/v1/responses": "0.10.0",
    "/v1/responses/{response_id}": "0.10.0",
    "/v1/responses/{response_id}/cancel": "0.10.0",
    "/tokenizer_info": "0.10.0",
}


def release(version: str) -> Release:
    """The numbers of a version: "0.6.6.post1" is 0.6.6 here."""
    found = _NUMBERS.match(version)
    if found is None:
        raise ValueError(f"{version!r} is no vLLM version; write it as 0.32.0")
    return tuple(map(int, found[0].split(".")))


def is_since(version: str, since: str) -> bool:
    """Whether what came with release `since` is there in `version`; an empty one was always there."""
    return not since or release(version) >= release(since)


@lru_cache
def behaviour(version: str) -> Behaviour:
    """What a release does; one newer than all known here does what the newest does."""
    if release(version) < release(OLDEST):
        raise ValueError(f"the oldest vLLM that can be simulated is {OLDEST}, not {version}")
    forms = {change.form: change.before for change in CHANGES if not is_since(version, change.since)}
    return replace(Behaviour(), **forms)
