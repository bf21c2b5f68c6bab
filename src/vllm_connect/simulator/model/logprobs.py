"""Log probabilities: made up from token and place, but ordered and shaped as vLLM's."""

import itertools
from collections.abc import Sequence
from random import Random
from typing import Any

from vllm_connect.simulator.model.tokens import SIZE, decode

Alternatives = list[tuple[int, float]]


def alternatives(token: int, place: int, count: int) -> Alternatives:
    """The sampled token, which is the likeliest here, and `count` others behind it; at least itself."""
    random = Random(token * 1_000_003 + place)  # noqa: S311 - repeatable on purpose
    falling = itertools.accumulate(random.uniform(0.05, 1.5) for _ in range(max(count, 1)))
    others = iter(dict.fromkeys(random.randrange(SIZE) for _ in range(4 * max(count, 1) + 8)))
    chosen = itertools.chain([token], (other for other in others if other != token))
    return [(number, -round(value, 6)) for number, value in zip(chosen, falling, strict=False)]


def chat(ids: Sequence[int], top: int, start: int = 0, *, as_ids: bool = False) -> dict[str, Any]:
    """The `logprobs` of a chat choice, or of a chunk that begins with token number `start`."""
    content = []
    for place, token in enumerate(ids, start):
        ranked = [_entry(number, value, as_ids=as_ids) for number, value in alternatives(token, place, top)]
        content.append({**ranked[0], "top_logprobs": ranked[:top]})
    return {"content": content}


def completion(
    ids: Sequence[int],
    top: int,
    start: int = 0,
    offset: int = 0,
    *,
    as_ids: bool = False,
    echoes: bool = False,
) -> dict[str, Any]:
    """The `logprobs` of a completion choice; the first token of an echoed prompt has none."""
    names = [_name(token, as_ids=as_ids) for token in ids]
    ranked = [alternatives(token, place, top + 1) for place, token in enumerate(ids, start)]
    chosen: list[float | None] = [options[0][1] for options in ranked]
    tops: list[dict[str, float] | None] = [
        {_name(number, as_ids=as_ids): value for number, value in options} for options in ranked
    ]
    if echoes:
        chosen[:1], tops[:1] = [None], [None]
    offsets = itertools.accumulate((len(name) for name in names), initial=offset)
    return {
        "text_offset": list(offsets)[:-1],
        "token_logprobs": chosen,
        "tokens": names,
        "top_logprobs": tops,
    }


def prompt_logprobs(ids: Sequence[int], count: int) -> list[dict[str, Any] | None]:
    """The `prompt_logprobs`: none for the first token, then by token id."""
    return [
        {
            str(number): {"logprob": value, "rank": rank, "decoded_token": decode([number])}
            for rank, (number, value) in enumerate(alternatives(token, place, count), 1)
        }
        if place
        else None
        for place, token in enumerate(ids)
    ]


def _name(token: int, *, as_ids: bool) -> str:
    return f"token_id:{token}" if as_ids else decode([token])


def _entry(token: int, value: float, *, as_ids: bool) -> dict[str, Any]:
    name = _name(token, as_ids=as_ids)
    return {"token": name, "logprob": value, "bytes": list(decode([token]).encode())}
