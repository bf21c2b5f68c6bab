"""Faults of content: a well-framed answer with something wrong, or odd, inside."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from vllm_connect.simulator.exchange import Headers, Response, dump, json_response, text_response
from vllm_connect.simulator.faults.edits import (
    ESCAPES,
    MARK,
    Content,
    around_mark,
    choices,
    content,
    edited,
    with_body,
    with_text,
)
from vllm_connect.simulator.faults.fault import Fault, inapplicable
from vllm_connect.simulator.faults.statuses import answered
from vllm_connect.simulator.requests.refusals import error_body
from vllm_connect.simulator.script import Exchange, Script, honest

_LOGIN: Final = (
    b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please sign in.</body></html>\n"
)


def _body(body: bytes, exchange: Exchange) -> Script:
    """This body instead, called JSON."""
    return answered(exchange, text_response(body, b"application/json"))


def _login_page(exchange: Exchange) -> Script:
    return answered(exchange, text_response(_LOGIN, b"text/html; charset=utf-8"))


def _error_in_200(exchange: Exchange) -> Script:
    return answered(exchange, json_response(error_body("Something went wrong", "InternalServerError", 500)))


def _no_content(exchange: Exchange) -> Script:
    return answered(exchange, Response(204))


def _odd_number(value: float, exchange: Exchange) -> Script:
    def edit(made: Content) -> Content:
        vectors = [item for item in made.get("data") or () if isinstance(item.get("embedding"), list)]
        if vectors:
            vectors[0]["embedding"][0] = value
            return made
        return {**made, "created": value}

    return edited(exchange, edit)


def _written(exchange: Exchange, edit: Callable[[Content], Content], instead: bytes) -> Script:
    """The JSON changed, with bytes of our own where the edit left its mark."""
    before, behind = around_mark(exchange, dump(edit(content(exchange))))
    return honest(with_body(exchange, before + instead + behind))


def _with_field(exchange: Exchange, field: bytes) -> Script:
    """The JSON with one more field, written by hand, at its end."""
    body = dump(content(exchange))
    return honest(with_body(exchange, body[:-1] + b"," + field + b"}"))


def _deep(exchange: Exchange, *, depth: int = 100_000) -> Script:
    return _with_field(exchange, b'"deep":' + b"[" * depth + b"]" * depth)


def _huge_integer(exchange: Exchange, *, digits: int = 5000) -> Script:
    return _with_field(exchange, b'"created":' + b"9" * digits)


def _twice(exchange: Exchange) -> Script:
    return _with_field(exchange, b'"object":"another"')


def _bad_utf8(exchange: Exchange) -> Script:
    return _written(exchange, lambda made: with_text(made, f"caf{MARK}"), b"\xe9")


def _lone_surrogate(exchange: Exchange) -> Script:
    return _written(exchange, lambda made: with_text(made, f"half {MARK}"), b"\\ud83d")


def _choices_empty(exchange: Exchange) -> Script:
    choices(exchange, content(exchange))
    return edited(exchange, lambda made: {**made, "choices": []})


def _choices_missing(exchange: Exchange) -> Script:
    choices(exchange, content(exchange))
    return edited(exchange, lambda made: {key: value for key, value in made.items() if key != "choices"})


def _choices_too_few(exchange: Exchange) -> Script:
    if len(choices(exchange, content(exchange))) < 2:  # noqa: PLR2004 - of one choice none would be left
        raise inapplicable(exchange, "one choice only: ask for n=2")
    return edited(exchange, lambda made: {**made, "choices": made["choices"][:-1]})


def _content_null(exchange: Exchange) -> Script:
    def edit(made: Content) -> Content:
        for choice in choices(exchange, made):
            said = choice.get("message") or choice
            said["content" if "message" in choice else "text"] = None
        return made

    return edited(exchange, edit)


def _finish(reason: str | None, exchange: Exchange) -> Script:
    """Each choice that ends, whole or streamed, ends for this reason."""

    def edit(made: Content) -> Content:
        for choice in choices(exchange, made):
            if choice.get("finish_reason") is not None:
                choice["finish_reason"] = reason
        return made

    return edited(exchange, edit)


def _finish_unknown(exchange: Exchange, *, reason: str = "exploded") -> Script:
    return _finish(reason, exchange)


def _usage(change: Callable[[Content], Any], exchange: Exchange) -> Script:
    def edit(made: Content) -> Content:
        if not isinstance(made.get("usage"), dict):
            raise inapplicable(exchange, "no usage")
        changed = {**made, "usage": change(made["usage"])}
        return changed if changed["usage"] is not _ABSENT else without_usage(changed)

    def without_usage(made: Content) -> Content:
        return {key: value for key, value in made.items() if key != "usage"}

    return edited(exchange, edit)


_ABSENT: Final = object()


def _negative(usage: Content) -> Content:
    return {key: -value if isinstance(value, int) else value for key, value in usage.items()}


def _content_type(exchange: Exchange, *, to: str = "text/plain") -> Script:
    typed: Headers = ((b"content-type", to.encode("latin-1", "replace")),)
    headers = tuple(header for header in exchange.answer.headers if header[0] != b"content-type")
    return honest(replace(exchange, answer=replace(exchange.answer, headers=headers + typed)))


def _other_model(exchange: Exchange, *, name: str = "another-model") -> Script:
    return edited(exchange, lambda made: {**made, "model": name} if "model" in made else made)


def _escapes_in_id(exchange: Exchange) -> Script:
    return edited(exchange, lambda made: {**made, "id": f"chatcmpl-{ESCAPES}"} if "id" in made else made)


def _escapes_in_text(exchange: Exchange) -> Script:
    return edited(exchange, lambda made: with_text(made, f"red{ESCAPES}alert"))


def _served(exchange: Exchange, names: list[str]) -> Script:
    listed = content(exchange)
    cards = listed.get("data")
    if listed.get("object") != "list" or not cards or cards[0].get("object") != "model":
        raise inapplicable(exchange, "no list of models")
    served = [{**cards[0], "id": name, "root": name} for name in names]
    return edited(exchange, lambda made: {**made, "data": served})


def _no_models(exchange: Exchange) -> Script:
    return _served(exchange, [])


def _two_models(exchange: Exchange) -> Script:
    return _served(exchange, ["first-model", "second-model"])


def _many_models(exchange: Exchange, *, count: int = 10_000) -> Script:
    return _served(exchange, [f"model-{number}" for number in range(count)])


def _odd_models(exchange: Exchange) -> Script:
    return _served(
        exchange, ["org/name with space", "ünï/模型", "../../etc/passwd", f"red{ESCAPES}", "a" * 10_000]
    )


def _instead(
    name: str, rows: tuple[int, ...], does: str, client: str, script: Callable[..., Script]
) -> Fault:
    """What something in front of the engine answers."""
    return Fault(name, rows, "any", does, client, script, refuses=True)


_INVALID: Final = "invalid: a typed error"
_USAGE_UNKNOWN: Final = "takes the answer; the usage is unknown"

ROWS: Final = (
    _instead("html", (37, 64), "200 with a login page", _INVALID, _login_page),
    _instead("error-in-200", (38,), "200 with an error object", "a typed API error", _error_in_200),
    _instead("no-content", (39,), "204 without a body", _INVALID, _no_content),
    _instead("empty-body", (39,), "200 with an empty body", _INVALID, partial(_body, b"")),
    _instead("json-list", (39,), "200 with a JSON list", _INVALID, partial(_body, b"[]")),
    _instead("json-string", (39,), "200 with a JSON string", _INVALID, partial(_body, b'"ok"')),
    _instead("json-null", (39,), "200 with null", _INVALID, partial(_body, b"null")),
    Fault(
        "nan",
        (40,),
        "json",
        "a number that is NaN, which is no JSON",
        _INVALID,
        partial(_odd_number, float("nan")),
    ),
    Fault(
        "infinity", (40,), "json", "a number that is Infinity", _INVALID, partial(_odd_number, float("inf"))
    ),
    Fault("deep-json", (41,), "json", "JSON of `depth` levels", "bounded: a typed error", _deep),
    Fault("huge-integer", (41,), "json", "an integer of `digits` digits", "a typed error", _huge_integer),
    Fault(
        "duplicate-keys", (41,), "json", "a key that comes twice", "a typed error, or the last one", _twice
    ),
    Fault("bad-utf8", (42,), "json", "a text that is not UTF-8", "a typed error", _bad_utf8),
    Fault(
        "lone-surrogate", (42,), "json", "half a surrogate pair, escaped", "kept, escaped", _lone_surrogate
    ),
    Fault("choices-empty", (43,), "json", "no choices", _INVALID, _choices_empty),
    Fault("choices-missing", (43,), "json", "no field `choices`", _INVALID, _choices_missing),
    Fault(
        "choices-too-few", (43,), "json", "one choice fewer than was asked for", _INVALID, _choices_too_few
    ),
    Fault("content-null", (43,), "json", "a text that is null", "reaches the caller as it is", _content_null),
    Fault("finish-abort", (44, 69), "reply", "it ends by `abort`", "not done", partial(_finish, "abort")),
    Fault("finish-null", (44,), "reply", "it never says why it ends", "not done", partial(_finish, None)),
    Fault(
        "finish-unknown",
        (44,),
        "reply",
        "it ends for an unknown `reason`",
        "done, and flagged",
        _finish_unknown,
    ),
    Fault("usage-missing", (45,), "json", "no usage", _USAGE_UNKNOWN, partial(_usage, lambda _: _ABSENT)),
    Fault(
        "usage-null", (45,), "json", "a usage that is null", _USAGE_UNKNOWN, partial(_usage, lambda _: None)
    ),
    Fault("usage-negative", (45,), "json", "a usage below zero", _USAGE_UNKNOWN, partial(_usage, _negative)),
    Fault(
        "wrong-content-type",
        (46,),
        "any",
        "a good body, called something else",
        "takes it, and warns once",
        _content_type,
    ),
    Fault("other-model", (47,), "reply", "a reply of another model", "warns; a batch stops", _other_model),
    Fault("escapes-in-id", (50,), "reply", "an id with terminal escapes", "cleans it", _escapes_in_id),
    Fault(
        "escapes-in-text",
        (50,),
        "reply",
        "a text with terminal escapes",
        "cleans it for a terminal",
        _escapes_in_text,
    ),
    Fault("models-none", (77,), "json", "no model is served", "a clear error", _no_models),
    Fault("models-two", (77,), "json", "two models are served", "an error that names both", _two_models),
    Fault("models-many", (77,), "json", "`count` models are served", "within a second", _many_models),
    Fault(
        "models-odd",
        (77,),
        "json",
        "names with spaces, paths, escapes, of 10,000 letters",
        "as they are",
        _odd_models,
    ),
)
