"""Reading answers: what ours makes of bytes is what plain openai makes of them, or a refusal that has a reason."""

from __future__ import annotations

import gc
import json
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus.exchanges import Exchange, odd, recorded
from tests.sdk_reading import difference, sdk_reading
from vllm_connect.client import replies
from vllm_connect.client.replies import ErrorInAnswer, NotAnAnswer, reader

ERRORS = [exchange for exchange in recorded() if exchange.form == "ERROR"]
EXCHANGES = [exchange for exchange in (*recorded(), *odd()) if exchange.form != "ERROR"]


def read(form: str, body: bytes) -> Any:
    return reader(getattr(replies, form))(body)


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_equal_to_the_sdk(exchange: Exchange) -> None:
    """Whatever vLLM sends, and what is odd but an answer, becomes the very objects that the SDK makes."""
    for body in exchange.bodies:
        ours, theirs = read(exchange.form, body), sdk_reading(exchange.form, body)
        assert difference(ours, theirs) is None, body
        assert repr(ours) == repr(theirs)
        assert_same_dumps(ours, theirs)


def assert_same_dumps(ours: Any, theirs: Any) -> None:
    """Also what goes out again, in a history: in the SDK's words, with nothing added."""
    theirs.__dict__.pop("_request_id", None)
    # Of values that are not of their field's type pydantic would warn, in both. By their text: NaN is not itself.
    for options in ({}, {"exclude_unset": True}):
        assert repr(ours.model_dump(**options, warnings=False)) == repr(
            theirs.model_dump(**options, warnings=False)
        )
    assert as_json(ours) == as_json(theirs)


def as_json(model: Any) -> str:
    try:
        return str(model.to_json(warnings=False))
    except ValueError as error:  # of pydantic: half of a surrogate pair, lists nested 220 deep
        return str(error)


def answer(**changes: Any) -> bytes:
    whole = {"id": "a", "object": "chat.completion", "created": 1, "model": "m"}
    choices = [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}]
    return json.dumps({**whole, "choices": choices, **changes}).encode()


def with_raw(value: bytes) -> bytes:
    """Return an answer with one more field, of this text."""
    return answer()[:-1] + b', "x": ' + value + b"}"


@pytest.mark.parametrize(
    ("form", "body", "reason"),
    [
        ("CHAT", b"", "it is empty"),
        ("CHAT", b" \r\n", "it is empty"),
        ("CHAT", b"<html>", "it is not JSON"),
        ("CHAT", answer()[:-1], "it is not JSON"),
        ("CHAT", answer() + b"x", "it is not JSON"),
        ("CHAT", b"null", "no object"),
        ("CHAT", b'["x"]', "no object"),
        ("CHAT_CHUNK", b'"x"', "no object"),
        ("CHAT", with_raw(b"NaN"), "holds NaN"),
        ("CHAT_CHUNK", with_raw(b"[-Infinity]"), "holds -Infinity"),
        ("EMBEDDINGS", b'{"data": [{"embedding": [NaN]}]}', "holds NaN"),
        ("CHAT", with_raw(b"[" * 100_000 + b"]" * 100_000), "nested too deeply"),
        ("CHAT", with_raw(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), "nested too deeply"),
        ("CHAT", with_raw(b"9" * 5_000), "too many digits"),
        ("CHAT", with_raw(b'"\xff"'), "not UTF-8"),
        ("CHAT", with_raw(b'"\xed\xa0\x80"'), "not UTF-8"),
        ("CHAT", answer().decode().encode("utf-16"), "not UTF-8"),
        ("CHAT", answer(choices=[]), "list of choices is empty"),
        ("CHAT", answer(choices=None), "no list of choices"),
        ("CHAT", b'{"id": "a"}', "no list of choices"),
        ("CHAT_CHUNK", b'{"id": "a"}', "no list of choices"),
        ("CHAT_CHUNK", b'{"choices": {}}', "no list of choices"),
        ("COMPLETION", answer(choices=[]), "list of choices is empty"),
        ("CHAT", answer(choices=["x"]), "no list of choices"),
        ("CHAT", answer(choices=[{"text": "x"}]), "one of its choices has no message"),
        ("COMPLETION", answer(), "one of its choices has no text"),
        ("MODELS", b'{"object": "list"}', "no list of data"),
        ("MODELS", b'{"data": ["m"]}', "no list of data"),
        ("EMBEDDINGS", b'{"data": []}', "list of data is empty"),
        ("EMBEDDINGS", b'{"data": [{"embedding": null}]}', "one of its data has no embedding"),
        ("EMBEDDINGS", b'{"data": [{"embedding": [1' + b"0" * 400 + b"]}]}", "the SDK cannot read it"),
        ("ENCODED_EMBEDDINGS", b'{"data": [{"embedding": "AACA*z8="}]}', "the SDK cannot read it"),
        ("ENCODED_EMBEDDINGS", b'{"data": [{"embedding": "AACAPwA="}]}', "the SDK cannot read it"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_refused(form: str, body: bytes, reason: str) -> None:
    """What is not an answer is refused with the reason, and never with an error of Python's."""
    with pytest.raises(NotAnAnswer, match=reason):
        read(form, body)


@pytest.mark.parametrize(
    ("body", "error", "status"),
    [
        (
            {"error": {"message": "m", "type": "t", "code": 400}},
            {"message": "m", "type": "t", "code": 400},
            400,
        ),
        ({"error": {"message": "m", "code": "503"}}, {"message": "m", "code": "503"}, 503),
        ({"error": "Unauthorized"}, "Unauthorized", None),
        ({"error": {"code": "no_such_model"}}, {"code": "no_such_model"}, None),
        ({"error": ["x"]}, ["x"], None),
        (
            {"object": "error", "message": "m", "code": 404},
            {"object": "error", "message": "m", "code": 404},
            404,
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("form", ["CHAT", "CHAT_CHUNK", "COMPLETION_CHUNK", "ENCODED_EMBEDDINGS", "MODELS"])
def test_error_in_the_place_of_an_answer(form: str, body: Any, error: Any, status: int | None) -> None:
    """An error in a 200 is raised as what it is, also beside all that an answer has."""
    for whole in (body, {**json.loads(answer()), "data": [], **body}):
        with pytest.raises(ErrorInAnswer) as caught:
            read(form, json.dumps(whole).encode())
        said = caught.value.error
        assert {**said, **error} == said if isinstance(error, dict) else said == error  # type: ignore[dict-item]
        assert caught.value.status == status


@pytest.mark.parametrize("exchange", ERRORS, ids=lambda exchange: exchange.name)
def test_recorded_errors(exchange: Exchange) -> None:
    """The errors of vLLM, in a body or in a stream, are raised with what the server said."""
    for body in exchange.bodies:
        with pytest.raises(ErrorInAnswer) as caught:
            read("CHAT", body)
        assert caught.value.error == json.loads(body)["error"]


# -- mutations

SEEDS = [
    (exchange.form, body) for exchange in EXCHANGES if exchange.form != "ERROR" for body in exchange.bodies
]
numbers = st.integers() | st.integers(-(2**1100), 2**1100) | st.floats(allow_nan=False, allow_infinity=False)
words = st.sampled_from(["", "1", "1.0", "stop", "function", "custom", "error", "AACAPw==", "assistant"])
scalars = st.none() | st.booleans() | numbers | words | st.text(max_size=4)
names = st.sampled_from(["error", "type", "index", "content", "text", "function", "custom", "object", "x"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, bytes]:
    form, body = draw(st.sampled_from(SEEDS))
    whole = json.loads(body.decode("utf-8-sig"))
    for _ in range(draw(st.integers(1, 3))):
        mutate(draw, whole)
    return form, json.dumps(whole).encode()


def mutate(draw: st.DrawFn, part: Any) -> None:
    """Change something at a random depth: a field or an item dropped, replaced, or added."""
    inner: list[Any] = [
        value
        for value in (part.values() if isinstance(part, dict) else part)
        if value and isinstance(value, dict | list)
    ]
    if draw(st.integers(0, 3)) and inner:
        mutate(draw, draw(st.sampled_from(inner)))
        return
    keys = list(part) if isinstance(part, dict) else list(range(len(part)))
    change = draw(st.sampled_from(["drop", "replace", "add"]))
    if change == "add" or not keys:
        new = draw(values)
        part.__setitem__(draw(names), new) if isinstance(part, dict) else part.append(new)
    elif change == "drop":
        del part[draw(st.sampled_from(keys))]
    else:
        part[draw(st.sampled_from(keys))] = draw(values)


@settings(max_examples=400, deadline=None)
@given(mutated())
def test_mutated(case: tuple[str, bytes]) -> None:
    """Of any change of an answer ours makes what the SDK makes, or refuses what is no answer, or fails in both."""
    form, body = case
    try:
        ours = read(form, body)
    except (NotAnAnswer, ErrorInAnswer) as refusal:
        if not is_declared(form, body, refusal):
            with pytest.raises(Exception):  # noqa: B017, PT011  # whatever the SDK raises
                sdk_reading(form, body)
        return
    assert difference(ours, sdk_reading(form, body)) is None


def is_declared(form: str, body: bytes, refusal: Exception) -> bool:
    """Whether a refusal stands in the list that opens `vllm_connect.client.replies`."""
    data = json.loads(body)
    if isinstance(refusal, ErrorInAnswer):
        return bool(data.get("error")) or data.get("object") == "error"
    kind = getattr(replies, form)
    items = data.get(kind.items)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return True
    lacking = [item for item in items if kind.part and not isinstance(item.get(kind.part), kind.part_types)]
    return not items or bool(lacking) or b"Infinity" in body


class Litter:
    """Garbage that only the collector finds, and that leaves more of it: a finalizer of a caller's runs at any time."""

    finalized = 0

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        if gc.get_threshold()[0] == 1:
            Litter()
        Litter.finalized += len(json.dumps([]))


@pytest.mark.parametrize(
    "within", [b"%s", b'"]]]", %s', b'"\\\\", %s, "[\\"["'], ids=["alone", "texts", "escapes"]
)
def test_finalizers_while_reading(within: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deep nesting is refused before it takes all of Python's recursion: what is collected meanwhile is finalized."""
    failures: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda failure: failures.append(failure.exc_type))
    thresholds, before = gc.get_threshold(), Litter.finalized
    deep = with_raw(b"[" + within % (b"[" * 5_000 + b"]" * 5_000) + b"]")
    gc.set_threshold(1, 1, 1)
    try:
        Litter()
        with pytest.raises(NotAnAnswer, match="nested too deeply"):
            read("CHAT", deep)
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()
    assert failures == []
    assert Litter.finalized > before


def test_nesting_that_is_read() -> None:
    """Nesting is counted as JSON has it: many brackets side by side, or within texts, are not deep."""
    for value in (b"[" * 200 + b"]" * 200, b"[" + b"[],{}," * 5_000 + b"[]]", b'"' + b"[" * 5_000 + b'\\""'):
        body = with_raw(value)
        assert difference(read("CHAT", body), sdk_reading("CHAT", body)) is None
