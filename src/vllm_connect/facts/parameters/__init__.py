"""Every request parameter of chat, completions, embeddings and responses as data: OpenAI's, and vLLM's own.

`tests/live/test_parameters.py` compares the table with what a real server declares, and tries what it claims.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from vllm_connect.facts.parameters.openai import OPENAI
from vllm_connect.facts.parameters.parameter import (
    TABLE_VERSION,
    UNKNOWN_FIELDS,
    Effect,
    Loss,
    Parameter,
    RequestKind,
)
from vllm_connect.facts.parameters.releases import first_release, last_release
from vllm_connect.facts.parameters.vllm import GONE, VLLM

__all__ = [
    "KINDS",
    "PARAMETERS",
    "PATHS",
    "SETTLED",
    "TABLE",
    "TABLE_VERSION",
    "UNKNOWN_FIELDS",
    "Effect",
    "Loss",
    "Parameter",
    "RequestKind",
    "taken",
]

KINDS: tuple[RequestKind, ...] = ("chat", "completions", "embeddings", "responses")
# The path of each kind below the API.
PATHS: Mapping[RequestKind, str] = MappingProxyType(
    {
        "chat": "/chat/completions",
        "completions": "/completions",
        "embeddings": "/embeddings",
        "responses": "/responses",
    }
)
# One row for each kind of request: a parameter may have come to one of them years after the others.
PARAMETERS: tuple[Parameter, ...] = tuple(
    replace(one, kinds=(kind,), first=first_release(kind, one.name), last=last_release(kind, one.name))
    for kind in KINDS
    for one in (*OPENAI, *VLLM, *GONE)
    if kind in one.kinds
)
TABLE: Mapping[RequestKind, Mapping[str, Parameter]] = MappingProxyType(
    {kind: MappingProxyType({one.name: one for one in PARAMETERS if kind in one.kinds}) for kind in KINDS}
)
# The names that mean what they say on every vLLM, so that no server is asked for their sake.
SETTLED: Mapping[RequestKind, frozenset[str]] = MappingProxyType(
    {kind: frozenset(name for name, one in TABLE[kind].items() if not one.is_doubtful) for kind in KINDS}
)


def taken(kind: RequestKind) -> frozenset[str]:
    """Return vLLM's own parameters that `create()` takes by keyword, beside those of the SDK."""
    own = (one for one in TABLE[kind].values() if one.origin == "vLLM")
    return frozenset(one.name for one in own if one.effect != "ignores" and not one.last)
