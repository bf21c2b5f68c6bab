"""What is known of one attempt once it is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vllm_connect.errors import Timer

__all__ = ["Attempt", "Ending", "Phase", "Reading"]

# How far it got: nothing was sent; the request left; the head of an answer came; all of the answer came.
Phase = Literal["connect", "sent", "answer", "complete"]
# What ended it: an answer; a connection that failed, or was lost; a timer; bytes that are not HTTP; a limit of sizes;
# a place or an address that our own side refused; the word of the side probe that the server is gone.
Ending = Literal["answer", "failed", "lost", "timer", "malformed", "too large", "held back", "gone"]
# What the contents of a successful answer are: what was asked for, an error in its place, or neither.
Reading = Literal["sound", "error", "no answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt, from all that was seen of it; what was not looked at keeps its default.

    `mends_itself` says of a failed connection whether the same may go well a moment later. `status` is that of the
    answer, or the one that an error within it names. `should_retry` and `retry_after` (seconds) are the server's own
    word. `engine_is_dead` and `lacks_model` tell a 500 and a 404 of vLLM's from others. `finish_reasons` has one item
    for every choice that was asked for, None for one that did not finish; `has_end_mark` says whether a stream was
    closed by `[DONE]`, which a plain answer needs not. `delivered` says whether the caller holds a part of the answer.
    """

    phase: Phase
    ending: Ending = "answer"
    timer: Timer | None = None
    mends_itself: bool = True
    status: int | None = None
    should_retry: bool | None = None
    retry_after: float | None = None
    engine_is_dead: bool = False
    lacks_model: bool = False
    reading: Reading = "sound"
    has_end_mark: bool = True
    finish_reasons: tuple[str | None, ...] = ()
    delivered: bool = False
