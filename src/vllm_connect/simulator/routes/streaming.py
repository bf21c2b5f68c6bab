"""The order of a stream's pieces: bundled where fewer are wanted, interleaved, and broken off by an abort."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Piece = dict[str, Any]
_TEXTS = ("text", "content", "reasoning", "reasoning_content")


def bundled(pieces: Sequence[Piece | None], interval: int) -> list[Piece | None]:
    """The pieces of one sequence where the first goes at once and then only each `interval`th, with those before it."""
    if interval == 1:
        return list(pieces)
    sent: list[Piece | None] = []
    held: Piece | None = None
    for place, piece in enumerate(pieces):
        held = _joined(held, piece) if held and piece else held or piece
        is_due = place % interval == 0 or place == len(pieces) - 1
        sent.append(held if is_due else None)
        held = None if is_due else held
    return sent


def interleaved(
    streams: Sequence[Sequence[Piece | None]],
    first: int,
    is_aborted: Callable[[], bool],
    aborted: Callable[[int], Piece],
) -> Iterator[tuple[int, int, Piece]]:
    """The pieces of several sequences in turn: how many engine steps each waited for, its place, the piece itself.

    The first takes `first` steps. Once the work is aborted, each sequence that is under way ends at once.
    """
    waited = 0
    for place in range(max(map(len, streams), default=0)):
        waited += 1 if place else first
        under_way = [(index, stream) for index, stream in enumerate(streams) if place < len(stream)]
        if is_aborted():
            yield from ((0, place, aborted(index)) for index, _ in under_way)
            return
        for _, stream in under_way:
            if piece := stream[place]:
                yield waited, place, piece
                waited = 0


def _joined(one: Mapping[str, Any], two: Mapping[str, Any]) -> Piece:
    return {**one, **{key: _sum(key, one.get(key), value) for key, value in two.items()}}


def _sum(key: str, one: Any, two: Any) -> Any:
    if one is None or two is None:
        return one if two is None else two
    if isinstance(two, dict):
        return _joined(one, two)
    return one + two if isinstance(two, list) or key in _TEXTS else two
