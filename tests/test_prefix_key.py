"""Which requests have one key: those whose prompts begin alike, so that one replica has read the beginning before."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_connect.replicas import prefix_key


def chat(*contents: str, **others: Any) -> dict[str, Any]:
    """A body whose messages are a system prompt, a question, an answer, a question, and so on."""
    roles = itertools.chain(["system"], itertools.cycle(["user", "assistant"]))
    messages = [{"role": role, "content": text} for role, text in zip(roles, contents, strict=False)]
    return {"model": "qwen", "messages": messages, **others}


LONG = "You know all about one long document. " * 300
TOOLS = [{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (chat("Be kind.", "Hello?"), chat("Be kind.", "Hello?", "Hi!", "And now?")),
        (chat("Be kind.", "Hello?", "Hi!", "A?"), chat("Be kind.", "Hello?", "Hi!", "B?", "B.", "C?")),
        (chat("Be kind.", "Hello?"), chat("Be kind.", "Hello?", temperature=1, max_tokens=5, stream=True)),
        (chat(LONG, "One?"), chat(LONG, "Another?")),
        ({"model": "qwen", "prompt": LONG + "One?"}, {"model": "qwen", "prompt": LONG + "Another?"}),
        ({"prompt": "Once upon a time " * 20}, {"prompt": "Once upon a time " * 20 + "there was"}),
        ({"prompt": [7] * 40}, {"prompt": [[7] * 40 + [8], [9]]}),
        ({"prompt": "Once"}, {"prompt": ["Once", "Twice"]}),
    ],
    ids=[
        "a turn",
        "later turns",
        "sampling",
        "a document",
        "a text",
        "a longer text",
        "token ids",
        "several",
    ],
)
def test_requests_that_belong_together(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Turns of a conversation, and requests whose beginning is long and the same, have one key."""
    assert prefix_key(one) == prefix_key(other) is not None


@pytest.mark.parametrize(
    "other",
    [
        chat("Be kind.", "Where?"),
        chat("Be rude.", "Hello?"),
        chat("Be kind.", "Hello?", model="llama"),
        chat("Be kind.", "Hello?", cache_salt="tenant"),
        chat("Be kind.", "Hello?", tools=TOOLS),
        chat("Be kind.Hello?", ""),
        {"model": "qwen", "prompt": "Be kind.Hello?"},
        {"model": "qwen", "prompt": [1, 2, 3]},
    ],
    ids=["question", "system", "model", "salt", "tools", "borders", "text", "tokens"],
)
def test_requests_that_spread(other: dict[str, Any]) -> None:
    """What makes the beginning of a prompt another, or the caches that may hold it, makes another key."""
    assert prefix_key(chat("Be kind.", "Hello?")) != prefix_key(other) is not None


def test_names_and_prompts_are_not_taken_for_each_other() -> None:
    """Where one ends and the next begins is part of the key; so is every token."""
    bodies: list[dict[str, Any]] = [
        {"model": "ab", "cache_salt": "c", "prompt": "d"},
        {"model": "a", "cache_salt": "bc", "prompt": "d"},
        {"model": "ab", "cache_salt": "", "prompt": "cd"},
        {"model": "ab", "prompt": [1, 2]},
        {"model": "ab", "prompt": [1, 3]},
        {"model": "ab", "prompt": [12]},
    ]
    assert len({prefix_key(body) for body in bodies}) == len(bodies)


@given(st.integers(1, 12_000))
def test_how_much_of_a_prompt_counts(length: int) -> None:
    """Of a text of more than 64 characters, and of more than 16 tokens, a power of two of such blocks, 128 at most."""
    kinds: Any = ((64, "a", "b"), (16, [7], [8]))
    for block, one, other in kinds:
        counts = block * 2 ** (min(length // block, 128).bit_length() - 1) if length >= block else length
        prompt = one * length
        last = prompt[: counts - 1] + other + prompt[counts:]
        assert prefix_key({"prompt": prompt}) != prefix_key({"prompt": last})
        if counts < length:
            behind = prompt[:counts] + other + prompt[counts + 1 :]
            assert prefix_key({"prompt": prompt}) == prefix_key({"prompt": behind})


def test_how_much_of_a_chat_counts() -> None:
    """Of a chat, 8,192 characters count, names of fields and empty texts among them, in the order of the template."""
    for length in (1, 100, 8000):
        assert prefix_key(chat("x" * length, "One?")) != prefix_key(chat("x" * length, "Another?"))
    assert prefix_key(chat("x" * 8170, "One?")) == prefix_key(chat("x" * 8170, "Another?"))
    late = [{"role": "system", "content": ""}] * 9000
    texts = ["One?", "Another?"]
    assert len({prefix_key({"messages": [*late, {"role": "user", "content": text}]}) for text in texts}) == 1
    greeted = [{"role": "assistant", "content": "Hello!"}]
    assert (
        len({prefix_key({"messages": [*greeted, {"role": "user", "content": text}]}) for text in texts}) == 2
    )
    for role in ("assistant", "tool", "function"):
        asked = [{"role": "user", "content": "One?"}, {"role": role, "content": ""}]
        more = [{"messages": [*asked, {"role": "user", "content": text}]} for text in texts]
        assert prefix_key(more[0]) == prefix_key(more[1]) == prefix_key({"messages": asked[:1]})


def test_a_key_needs_a_prompt() -> None:
    """Requests without a prompt whose beginning is cached have no key: embeddings, empty bodies, empty prompts."""
    bodies: list[dict[str, Any]] = [
        {},
        {"model": "a", "input": "text"},
        {"prompt": ""},
        {"prompt": []},
        {"messages": []},
    ]
    assert [prefix_key(body) for body in bodies] == [None] * 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.dictionaries(st.sampled_from(["model", "messages", "prompt", "tools", "cache_salt"]), JSON),
    st.lists(st.dictionaries(st.sampled_from(["role", "content"]), JSON), max_size=3) | JSON,
)
def test_any_body_has_a_key_or_none(body: dict[str, Any], messages: Any) -> None:
    """No shape of a body is an error here; the server says what is wrong with it."""
    for asked in (body, {**body, "messages": messages}):
        key = prefix_key(asked)
        assert key is None or len(key) == 16
        assert prefix_key(dict(asked)) == key


def test_a_key_costs_little_however_large_the_body_is() -> None:
    """Prompts of 10 MB, nested beyond recursion, of huge numbers or lone surrogates are looked at in their beginning."""
    deep: Any = "end"
    for _ in range(100_000):
        deep = [deep]
    circle: list[Any] = []
    circle.append(circle)
    huge: list[Any] = [
        "x" * 10_000_000,
        ["x"] * 1_000_000,
        [[]] * 1_000_000,
        [""] * 1_000_000,
        deep,
        circle,
        10**5000,
        "\ud800",
        object(),
    ]
    for content in huge:
        taken = []
        for _ in range(3):
            begun = time.thread_time()
            assert prefix_key({"messages": [{"role": "user", "content": content}]})
            assert prefix_key({"prompt": ["Once", content], "model": content})
            prefix_key({"prompt": content})
            taken.append(time.thread_time() - begun)
        assert min(taken) < 0.05
