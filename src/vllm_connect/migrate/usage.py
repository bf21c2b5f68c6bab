"""What code asks of a server: for `live`, which looks whether a server has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Usage"]


@dataclass(frozen=True, kw_only=True)
class Usage:
    """One thing that is asked of a server, and where, as the code is after its migration.

    `what` says which kind `name` is: an endpoint by its path below the API (`/chat/completions`), a model, or a parameter
    of the endpoint `of`. `value` is a parameter's value where it is a short literal, as JSON, else empty. `is_sure` is
    False where only its names say that it is a client.
    """

    path: str
    line: int
    what: Literal["endpoint", "model", "parameter"]
    name: str
    of: str = ""
    value: str = ""
    is_sure: bool = True
