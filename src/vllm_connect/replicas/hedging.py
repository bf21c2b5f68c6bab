"""When a first token is so late that a second replica is asked for it too, and how often that may be."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["HEDGED", "Hedging"]

# Of all streams so many may be asked for twice; a first token is late when it takes longer than all but these.
HEDGED: Final = 0.02
# Second requests that can be saved up.
BURST: Final = 2.0
# First tokens that must have come before any is called late; the longest of them is the first guess.
ENOUGH: Final = 50
# How far one first token moves the guess, as a share of it.
STEP: Final = 0.1
# Seconds: a second request costs more than waiting so long.
LEAST: Final = 0.01
# Ten times a tenth is less than one.
ROUNDING: Final = 1e-9


class Hedging:
    """How long first tokens of a group take at most but for the latest, and a bucket of second requests.

    The time is found by small steps: up where a token is later, down where it is not, so weighted that both are equal
    where as many are later as may be hedged. It needs no memory of times, and follows them.
    """

    __slots__ = ("_after", "_heard", "_left")

    def __init__(self) -> None:
        self._after = 0.0
        self._heard = 0
        self._left = 0.0

    @property
    def after(self) -> float:
        """Seconds after which a first token is late, inf while that is not known."""
        return max(self._after, LEAST) if self._heard >= ENOUGH else math.inf

    def earn(self) -> None:
        """Count a stream that may be hedged, at its start."""
        self._left = min(BURST, self._left + HEDGED)

    def spend(self) -> bool:
        """Take a second request out of the bucket, and say whether there was one."""
        if self._left < 1.0 - ROUNDING:
            return False
        self._left -= 1.0
        return True

    def heard(self, first_token: float) -> None:
        """Take in the seconds to one first token."""
        self._heard += 1
        if self._heard <= ENOUGH:
            self._after = max(self._after, first_token)
        else:
            self._move(is_later=first_token > self._after)

    def was_late(self) -> None:
        """Take in a first token that was not waited for: it had not come in this time."""
        self._move(is_later=True)

    def _move(self, *, is_later: bool) -> None:
        self._after *= math.exp(STEP * ((1.0 - HEDGED) if is_later else -HEDGED))
