"""Structured outputs: what binds a reply, what is refused as a constraint, and text that keeps to it."""

import json
import re
from collections.abc import Mapping
from random import Random
from typing import Any, Final

from vllm_connect.simulator.model import pattern, schema
from vllm_connect.simulator.requests.refusals import Refusal, refuse

Body = Mapping[str, Any]

_KINDS: Final = ("json", "regex", "choice", "grammar", "json_object", "structural_tag")
# vLLM prints its own parameter object, whose fields stand in this order.
_PRINTED: Final = {
    "json": None,
    "regex": None,
    "choice": None,
    "grammar": None,
    "json_object": None,
    "disable_any_whitespace": False,
    "disable_additional_properties": False,
    "whitespace_pattern": None,
    "structural_tag": None,
    "_backend": None,
    "_backend_was_auto": False,
}
_NONE_GIVEN = Refusal(
    "You must use one kind of structured outputs constraint but none are specified: {given}"
)
_SEVERAL_GIVEN = Refusal(
    "You can only use one kind of structured outputs constraint but multiple are specified: {given}"
)
_BAD_TYPE = Refusal("Grammar error: Invalid type: {name}")
_BAD_REGEX = Refusal('Grammar error: at 1(8): invalid regex "{regex}" (in regex): regex parse error: {why}')
_BAD_GRAMMAR = Refusal(
    "Invalid grammar specification: Failed to convert the grammar from GBNF to Lark:"
    " Expected ::= at line 1, '{grammar}' ^ ''"
)


def wanted(body: Body) -> tuple[str, Any] | None:
    """The kind of constraint of a request and what it asks; a response_format comes before all others."""
    by_format = _by_response_format(body.get("response_format"))
    if by_format:
        return by_format
    given = body.get("structured_outputs") or {}
    return next(((kind, given[kind]) for kind in _KINDS if given.get(kind) is not None), None)


def check_count(body: Body) -> None:
    """Refuse a constraint that is none, or several at once."""
    given = body.get("structured_outputs")
    by_format = _by_response_format(body.get("response_format"))
    if by_format and by_format[1] is None:
        raise refuse(_NONE_GIVEN, given=dict(_PRINTED))
    if given is None or by_format:
        return
    printed = {name: given.get(name, default) for name, default in _PRINTED.items()}
    count = sum(given.get(kind) is not None for kind in _KINDS)
    if count != 1:
        raise refuse(_SEVERAL_GIVEN if count else _NONE_GIVEN, given=printed)


def check_in_engine(body: Body) -> None:
    """Refuse constraints that no grammar can be made of."""
    match wanted(body):
        case ("json", asked) if name := schema.unknown_type(_schema(asked)):
            raise refuse(_BAD_TYPE, name=name)
        case ("regex", str(regex)):
            try:
                re.compile(regex)
            except re.error as broken:
                raise refuse(_BAD_REGEX, regex=regex, why=broken) from None
        case ("grammar", str(grammar)) if "::=" not in grammar and ":" not in grammar:
            raise refuse(_BAD_GRAMMAR, grammar=grammar)
        case _:
            return


def text(kind: str, asked: Any, random: Random) -> str | None:
    """A text that keeps to a constraint; None for the kinds that are not simulated."""
    match kind:
        case "choice":
            return str(random.choice(asked))
        case "regex":
            return pattern.example(asked, random)
        case "json":
            return json.dumps(schema.instance(_schema(asked), random))
        case "json_object":
            return json.dumps({"answer": random.choice(("yes", "no")), "count": random.randint(1, 9)})
        case _:
            return None


def _by_response_format(asked: Any) -> tuple[str, Any] | None:
    match asked:
        case {"type": "json_object"}:
            return "json_object", True
        case {"type": "json_schema", "json_schema": {**described}}:
            return "json", described.get("schema")
        case _:
            return None


def _schema(asked: Any) -> Any:
    return json.loads(asked) if isinstance(asked, str) else asked
