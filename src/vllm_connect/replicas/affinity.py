"""Which requests belong together: those whose prompts begin alike, so that a replica has read the beginning before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import chain
from typing import Any, Final

__all__ = ["BLOCK", "LONGEST", "TOKEN", "prefix_key"]

# vLLM caches full blocks of 16 tokens; a token is about 4 characters of English.
BLOCK: Final = 16
TOKEN: Final = 4
# Tokens: what is alike for so long is worth a replica of its own, whatever follows.
LONGEST: Final = 2048
ANSWERS: Final = ("assistant", "tool", "function")
NO_MORE: Final = object()


def prefix_key(body: Mapping[str, Any]) -> bytes | None:
    """Return what a request has in common with those that should share its replica; None where no prefix can be shared.

    A chat counts by what stays the same while it grows: its tools, and its messages up to the first answer. So all
    turns of a conversation go where its earlier turns are cached, and conversations that begin with different
    questions spread, though they share a short system prompt, which every replica soon knows. Where the common
    beginning is longer than 2,048 tokens, only that counts: requests about one long document go together, and so do
    conversations behind long instructions, unless their caller names sessions.

    A prompt of one piece has no such border: as much of it counts as a power of two of blocks, so that one which grows
    changes its place only when its length doubles, and those that share most of their length are mostly together.

    `model` and `cache_salt` are part of the key, as vLLM shares no cache across them. A few thousand characters are
    looked at, whatever the size of the body; any shape of a body has a key or None.
    """
    beginning = _beginning(body)
    if not beginning:
        return None
    digest = blake2b(digest_size=16)
    for text in (*_clipped([body.get("model"), body.get("cache_salt")]), *beginning):
        data = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.digest()


def _beginning(body: Mapping[str, Any]) -> list[str]:
    messages = body.get("messages")
    if isinstance(messages, list | tuple):
        head = _before_first_answer(messages)
        return _clipped([body.get("tools"), head]) if head else []
    prompt = _first_prompt(body.get("prompt"))
    if isinstance(prompt, str):
        return _clipped([prompt[: _steady(len(prompt), BLOCK * TOKEN)]]) if prompt else []
    if isinstance(prompt, list | tuple):
        return _clipped(prompt[: _steady(len(prompt), BLOCK)])
    return []


def _before_first_answer(messages: Sequence[Any]) -> list[Any]:
    head: list[Any] = []
    has_asked = False
    for message in messages[:LONGEST]:
        # A message that is an object of the SDK is an answer that was put into the history as it came.
        role = message.get("role") if isinstance(message, Mapping) else "assistant"
        if has_asked and role in ANSWERS:
            break
        has_asked = has_asked or role == "user"
        head.append(message)
    return head


def _first_prompt(prompt: Any) -> Any:
    """Several prompts go to one place: where the first one belongs."""
    is_several = isinstance(prompt, list | tuple) and prompt and isinstance(prompt[0], str | list | tuple)
    return prompt[0] if is_several else prompt


def _steady(length: int, block: int) -> int:
    """Return the largest power of two of blocks that a prompt fills; all of one that fills none."""
    blocks = min(length // block, LONGEST // BLOCK)
    return block << (blocks.bit_length() - 1) if blocks else length


def _clipped(values: Sequence[Any]) -> list[str]:
    """Return the texts in some values, in their order, up to the longest beginning that counts."""
    left = LONGEST * TOKEN
    clipped = []
    for text in _texts(values):
        clipped.append(text[:left])
        # An empty text counts too, or there might be no end of them.
        left -= max(1, len(text))
        if left <= 0:
            break
    return clipped


def _texts(values: Sequence[Any]) -> Iterator[str]:
    # No recursion: a body may be nested deeper than Python goes.
    inside: list[Iterator[Any]] = [iter(values)]
    while inside:
        value = next(inside[-1], NO_MORE)
        if value is NO_MORE:
            inside.pop()
        elif isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            yield "{"
            inside.append(chain.from_iterable(value.items()))
        elif isinstance(value, list | tuple):
            yield "["
            inside.append(iter(value))
        elif isinstance(value, int | float):
            # The same in every process, and of any number of digits.
            yield f"{hash(value)}"
        else:
            yield type(value).__name__
