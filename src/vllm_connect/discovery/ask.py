"""One question to a server and its answer, as flows exchange them with whoever does the I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import openai

__all__ = ["Ask", "Reply"]


@dataclass(frozen=True)
class Ask:
    """A GET of a path below the API (`/models`), or of one of vLLM's own routes (`/health`).

    `raises` says whether a failure ends the flow as the error it is, an answer without JSON included; without it
    the flow is told. `seconds` is the most that the flow can wait for the answer. Without `keyed` the request
    leaves without the key.
    """

    path: str
    own_route: bool = False
    raises: bool = True
    seconds: float = 10.0
    keyed: bool = True


@dataclass(frozen=True)
class Reply:
    """An answer: its status and JSON (None for none), or the error that came instead."""

    status: int
    json: Any = None
    error: openai.APIError | None = None
