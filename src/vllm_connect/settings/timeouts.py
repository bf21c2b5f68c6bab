"""The timers of a call, and what the SDK's forms of `timeout=` mean in them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Protocol, runtime_checkable

from vllm_connect.errors import SettingsError

__all__ = ["HttpxTimeout", "Timeouts", "Timers", "timers"]


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """The timers of a call, each in seconds, None for off.

    `connect` holds for one connection; `first_token` from sending to the first byte of a streamed answer;
    `between_tokens` between two of its pieces; `total` for the whole call with all its attempts and waits.
    A plain (not streamed) call shows nothing before its end, so only `connect` and `total` hold for it.
    `ready` is how long a call may wait for a server that refuses connections because it is still loading.
    """

    connect: float | None = 5.0
    first_token: float | None = 600.0
    between_tokens: float | None = 120.0
    total: float | None = 3600.0
    ready: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            problem = _problem(field.name, getattr(self, field.name))
            if problem:
                raise SettingsError(f"timeouts.{field.name} {problem}")


def _problem(name: str, seconds: object) -> str:
    if seconds is None and name != "ready":
        return ""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        off = "" if name == "ready" else ", or None for off"
        return f"is {seconds!r}; it takes a number of seconds{off}."
    if math.isnan(seconds) or seconds < 0 or (seconds == 0 and name != "ready"):
        off = "" if name == "ready" else " Write None to turn this timer off."
        return f"is {seconds!r}; it takes a positive number of seconds.{off}"
    return ""


@runtime_checkable
class HttpxTimeout(Protocol):
    """What `httpx.Timeout` and `httpx2.Timeout` have in common."""

    connect: float | None
    read: float | None
    write: float | None
    pool: float | None


@dataclass(frozen=True, kw_only=True)
class Timers:
    """What holds for one call: seconds, None for off. `ready` is as in Timeouts."""

    connect: float | None
    first_token: float | None
    between_tokens: float | None
    total: float | None
    ready: float = 0.0


def timers(
    setting: Timeouts | HttpxTimeout | tuple[float | None, ...] | float | None, *, streamed: bool
) -> Timers:
    """Return the timers that a setting means for a streamed or a plain call.

    A number N keeps its everyday meaning: a plain call ends within N in total, over all attempts; a stream
    has N to connect, N to its first token and N between tokens. An httpx(2) Timeout keeps `connect`, and its
    `read` becomes both token timers, also of a plain call. None turns every timer off.
    """
    if setting is None:
        return Timers(connect=None, first_token=None, between_tokens=None, total=None)
    if isinstance(setting, Timeouts):
        return Timers(
            connect=setting.connect,
            first_token=setting.first_token if streamed else None,
            between_tokens=setting.between_tokens if streamed else None,
            total=setting.total,
            ready=setting.ready,
        )
    if isinstance(setting, int | float):
        token = float(setting) if streamed else None
        total = None if streamed else float(setting)
        return Timers(connect=float(setting), first_token=token, between_tokens=token, total=total)
    if isinstance(setting, tuple):
        connect, read = setting[:2]
        return Timers(connect=connect, first_token=read, between_tokens=read, total=None)
    return Timers(connect=setting.connect, first_token=setting.read, between_tokens=setting.read, total=None)
