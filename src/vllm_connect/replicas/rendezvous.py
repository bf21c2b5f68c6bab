"""Where a key is at home: every replica draws a number for it, and the highest has it (rendezvous hashing).

When a replica leaves, only its own keys move, each to its next rank; they come back when it returns. The draw depends
on the name and the key alone: it is the same in every process, and in any order of the replicas.
"""

from __future__ import annotations

import math
from hashlib import blake2b

__all__ = ["Lot"]

DRAWN_BYTES = 8
DRAWN_NUMBERS = 2.0 ** (8 * DRAWN_BYTES)


class Lot:
    """What a replica draws with."""

    __slots__ = ("_begun",)

    def __init__(self, name: str) -> None:
        self._begun = blake2b(name.encode("utf-8", "surrogatepass") + b"\0", digest_size=DRAWN_BYTES)

    def draw(self, key: bytes, weight: float) -> float:
        """Return the number it draws for a key.

        It is the highest in proportion to the weight, and a change of the weight moves no key between others
        (weighted rendezvous: the weight over an exponentially distributed draw).
        """
        digest = self._begun.copy()
        digest.update(key)
        drawn = (int.from_bytes(digest.digest(), "big") + 0.5) / DRAWN_NUMBERS
        # The highest numbers round to 1, whose logarithm is 0.
        return weight / max(-math.log(drawn), 1.0 / DRAWN_NUMBERS)
