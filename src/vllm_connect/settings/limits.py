"""How much a client takes from a server: everything that arrives is bounded."""

from __future__ import annotations

from dataclasses import dataclass, fields

from vllm_connect.errors import SettingsError

__all__ = ["Limits"]

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is taken from a server at most; a breach is a typed error and closes the connection.

    `body`: bytes of an answer, after decompression. `error_body`: bytes read of an error answer, the rest of
    which is left. `event`: bytes of one event of a stream. `headers` and `header_bytes`: number and size of
    an answer's headers. `connections`: how many may be open to one server; further calls wait for a place.
    """

    body: int = 64 * MIB
    error_body: int = 64 * KIB
    event: int = 16 * MIB
    headers: int = 256
    header_bytes: int = 64 * KIB
    connections: int = 1000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise SettingsError(f"limits.{field.name} is {value!r}; it takes a whole number from 1.")
