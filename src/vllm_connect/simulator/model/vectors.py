"""What a pooling model makes of tokens: embeddings, classes, and their bytes; the same for the same tokens."""

import array
import bisect
import math
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from random import Random
from typing import Final

Vector = tuple[float, ...]


@lru_cache(maxsize=1024)
def embed(ids: tuple[int, ...], dimensions: int, kept: int | None = None) -> Vector:
    """A unit vector in float32: the sum of its tokens' directions, so that like texts lie close.

    `kept` cuts it to its first values and makes it a unit vector again, as Matryoshka models are used.
    """
    total = _total(ids, dimensions)[:kept]
    norm = math.hypot(*total) or 1.0
    return tuple(array.array("f", [value / norm for value in total]))


@lru_cache(maxsize=1024)
def classify(ids: tuple[int, ...], labels: int, *, activated: bool = True) -> Vector:
    """A probability for each label, or what the model gives before it makes probabilities of it."""
    logits = [value / math.sqrt(len(ids) or 1) for value in _total(ids, labels)]
    if not activated:
        return tuple(array.array("f", logits))
    if labels == 1:
        return tuple(array.array("f", [1 / (1 + math.exp(-logits[0]))]))
    weights = [math.exp(value - max(logits)) for value in logits]
    return tuple(array.array("f", [weight / math.fsum(weights) for weight in weights]))


def likeness(one: Vector, two: Vector) -> float:
    """The cosine of two unit vectors."""
    return math.fsum(a * b for a, b in zip(one, two, strict=True))


def late_likeness(one: Sequence[Vector], two: Sequence[Vector]) -> float:
    """How well each token of one text finds a like one in the other."""
    return math.fsum(max(likeness(token, other) for other in two) for token in one)


def packed(vector: Vector, dtype: str, endianness: str) -> bytes:
    """A vector's bytes in a number format and byte order."""
    return _PACKERS[dtype](vector, ">" if endianness == "big" else "<")


def _total(ids: tuple[int, ...], dimensions: int) -> list[float]:
    directions = [_direction(token, dimensions) for token in ids]
    return [math.fsum(values) for values in zip(*directions, strict=True)] or [0.0] * dimensions


@lru_cache(maxsize=4096)
def _direction(token: int, dimensions: int) -> Vector:
    random = Random(token)  # noqa: S311 - repeatable on purpose
    return tuple(random.gauss() for _ in range(dimensions))


def _standard(code: str) -> Callable[[Vector, str], bytes]:
    return lambda vector, order: struct.pack(f"{order}{len(vector)}{code}", *vector)


def _bfloat16(vector: Vector, order: str) -> bytes:
    """The upper halves of float32 numbers, rounded to the nearest, ties to even."""
    whole = struct.unpack(f"<{len(vector)}I", struct.pack(f"<{len(vector)}f", *vector))
    rounded = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 for bits in whole)
    return struct.pack(f"{order}{len(vector)}H", *rounded)


def _eight_bits(exponent_bits: int, numbers: int) -> Callable[[Vector, str], bytes]:
    """One byte per number: sign, exponent, mantissa; the first `numbers` of 128 codes are finite."""
    mantissa_bits = 7 - exponent_bits
    bias = 2 ** (exponent_bits - 1) - 1
    values = []
    for code in range(numbers):
        exponent, mantissa = divmod(code, 2**mantissa_bits)
        fraction = mantissa / 2**mantissa_bits + (exponent > 0)
        values.append(fraction * 2.0 ** (max(exponent, 1) - bias))

    def encode(number: float) -> int:
        magnitude = abs(number)
        above = min(bisect.bisect_left(values, magnitude), numbers - 1)
        below = max(above - 1, 0)
        nearer = (values[above] - magnitude) - (magnitude - values[below])
        code = above if nearer < 0 or (not nearer and above % 2 == 0) else below
        return code | (0x80 if math.copysign(1, number) < 0 else 0)

    return lambda vector, _: bytes(map(encode, vector))


_PACKERS: Final[dict[str, Callable[[Vector, str], bytes]]] = {
    "float32": _standard("f"),
    "float16": _standard("e"),
    "bfloat16": _bfloat16,
    "fp8_e4m3": _eight_bits(4, 127),
    "fp8_e5m2": _eight_bits(5, 124),
}
