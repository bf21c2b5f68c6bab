"""What was found in requests and done about it, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vllm_connect.facts.parameters import RequestKind

__all__ = ["Action", "Adaptation"]

Action = Literal["translated", "ignored", "unknown", "fitted", "folded", "not fitted"]


@dataclass(frozen=True)
class Adaptation:
    """One finding about a kind of request: a parameter was translated into `became`, or reported and left as it is.

    `action` is "translated", "ignored" (the server knows it and does nothing, or no longer knows it), "unknown",
    "fitted" (`fit="clamp"` made it smaller), "not fitted" (the server would not count tokens) or "folded" (roles).
    `message` says it in a sentence.
    """

    request: RequestKind
    parameter: str
    action: Action
    became: str
    message: str
