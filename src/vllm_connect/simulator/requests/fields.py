"""Fields of a request body: what pydantic makes of a value, and what it says of a wrong one."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar

from vllm_connect.simulator.exchange import json_response
from vllm_connect.simulator.requests.refusals import Refused, error_body

Body = dict[str, Any]
Error = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """One field of a request: a row of a parameter table."""

    name: str
    kind: str
    default: Any = None
    nullable: bool = True
    required: bool = False
    least: int | None = None
    most: int | None = None
    literals: tuple[str, ...] = ()
    items: "Field | None" = None
    """What a list's items and an object's values are; it has no name of its own."""
    fields: tuple["Field", ...] = ()
    """The fields of an object that are checked in turn."""
    ways: tuple[tuple["Field", ...], ...] = ()
    """The sets of fields of which an object must have one."""
    errors: "Callable[[str, Any], list[Error]] | None" = None
    """What finds out what is wrong with a value that may be of several kinds."""


class Shape(NamedTuple):
    """One shape of a body, as /openapi.json lists it."""

    name: str
    fields: tuple[Field, ...]


_BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), False),
}
_MAX_SHOWN_ERRORS = 10
_MAX_SHOWN_INPUT = 200


Number = TypeVar("Number", int, float)


class _Wrong(Exception):
    pass


class Invalid(Refused):
    """The request has not the route's shape, as opposed to a parameter that is refused by itself."""


def parse(body: Mapping[str, Any], fields: Iterable[Field], part: str = "body") -> Body:
    """The body with defaults and converted values; refuses with every wrong field listed. Extras pass."""
    parsed, errors = check(body, fields)
    if errors:
        raise refused(errors, part)
    return parsed


def parse_any(body: Mapping[str, Any], shapes: Sequence[Shape]) -> Body:
    """The body in the first shape that it has, with the defaults of all; refuses with what each of them lacks."""
    errors = []
    for shape in shapes:
        parsed, wrong = check(body, shape.fields)
        if not wrong:
            defaults = {field.name: field.default for other in shapes for field in other.fields}
            return {**defaults, **parsed, "shape": shape.name}
        errors += wrong
    raise refused(errors)


def check(body: Mapping[str, Any], fields: Iterable[Field], prefix: str = "") -> tuple[Body, list[Error]]:
    """The parsed body, and what is wrong with it."""
    parsed, errors = dict(body), []
    for field in fields:
        place = prefix + field.name
        if field.name not in body:
            parsed[field.name] = field.default
            errors += [missing(place, body)] if field.required else []
            continue
        parsed[field.name], wrong = _parse_value(body[field.name], field, place)
        errors += wrong
    return parsed, errors


def _parse_value(value: Any, field: Field, place: str) -> tuple[Any, list[Error]]:
    if field.errors:
        return value, field.errors(place, value)
    try:
        converted = _convert(value, field)
    except _Wrong as wrong:
        # A union complains once for each of its ways.
        return None, [_error(str(wrong), field, place, value)] * max(len(field.ways), 1)
    if converted is None:
        return None, []
    if field.items and isinstance(converted, list):
        numbered = dict(enumerate(converted))
        parsed, errors = _parse_items(numbered, field.items, place)
        return list(parsed.values()), errors
    if field.items:
        return _parse_items(converted, field.items, place)
    if field.ways:
        complaints = [check(converted, way, f"{place}.")[1] for way in field.ways]
        return converted, [error for of_one in complaints for error in of_one] if all(complaints) else []
    return check(converted, field.fields, f"{place}.") if field.fields else (converted, [])


def _parse_items(values: Mapping[Any, Any], field: Field, place: str) -> tuple[dict[Any, Any], list[Error]]:
    parsed = {key: _parse_value(value, field, f"{place}.{key}") for key, value in values.items()}
    errors = [error for _, errors in parsed.values() for error in errors]
    return {key: value for key, (value, _) in parsed.items()}, errors


def missing(location: str, container: object) -> Error:
    """The error of a field that is not there."""
    return error("missing", location, container)


def error(kind: str, location: str, value: object, message: str = "", **context: Any) -> Error:
    """One entry of a validation error, in pydantic's words."""
    entry: Error = {
        "type": kind,
        "loc": location,
        "msg": message or MESSAGES[kind],
        "input": _shown(value),
    }
    return {**entry, "ctx": context} if context else entry


def rejected(location: str, value: object, why: str) -> Error:
    """The error of a value that a check of vLLM's own turns down."""
    return error("value_error", location, value, f"Value error, {why}", error=ValueError(why))


def too_short(location: str, value: Sequence[Any]) -> Error:
    """The error of a list without an item."""
    message = f"List should have at least 1 item after validation, not {len(value)}"
    return error(
        "too_short", location, value, message, field_type="List", min_length=1, actual_length=len(value)
    )


def refused(errors: list[Error], part: str = "body") -> Refused:
    """The 400 that lists validation errors, ten at most; `part` of the request is where they stand."""
    errors = [{**entry, "loc": f"{part}.{entry['loc']}".rstrip(".")} for entry in errors]
    label = "error" if len(errors) == 1 else "errors"
    lines = [f"{len(errors)} validation {label}:", *(f"  {entry}" for entry in errors[:_MAX_SHOWN_ERRORS])]
    if len(errors) > _MAX_SHOWN_ERRORS:
        lines.append(f"  ...and {len(errors) - _MAX_SHOWN_ERRORS} more {label}")
    body = error_body("\n".join(lines), "Bad Request", HTTPStatus.BAD_REQUEST, errors[0]["loc"])
    return Invalid(json_response(body, status=HTTPStatus.BAD_REQUEST))


MESSAGES = {
    "missing": "Field required",
    "string_type": "Input should be a valid string",
    "is_instance_of": "Input should be an instance of {class}",
    "list_type": "Input should be a valid list",
    "dict_type": "Input should be a valid dictionary",
    "model_attributes_type": "Input should be a valid dictionary or object to extract fields from",
    "int_type": "Input should be a valid integer",
    "int_parsing": "Input should be a valid integer, unable to parse string as an integer",
    "int_from_float": "Input should be a valid integer, got a number with a fractional part",
    "finite_number": "Input should be a finite number",
    "float_type": "Input should be a valid number",
    "float_parsing": "Input should be a valid number, unable to parse string as a number",
    "bool_type": "Input should be a valid boolean",
    "bool_parsing": "Input should be a valid boolean, unable to interpret input",
    "less_than_equal": "Input should be less than or equal to {le}",
    "greater_than_equal": "Input should be greater than or equal to {ge}",
    "literal_error": "Input should be {expected}",
}


def _convert(value: Any, field: Field) -> Any:
    if value is None and field.nullable:
        return None
    converted = _CONVERTERS[field.kind](value, field)
    if field.least is not None and converted < field.least:
        raise _Wrong("greater_than_equal")
    if field.most is not None and converted > field.most:
        raise _Wrong("less_than_equal")
    return converted


def _error(kind: str, field: Field, place: str, value: object) -> Error:
    quoted = [f"'{literal}'" for literal in field.literals]
    contexts: dict[str, dict[str, Any]] = {
        "less_than_equal": {"le": field.most},
        "greater_than_equal": {"ge": field.least},
        "literal_error": {"expected": " or ".join(filter(None, (", ".join(quoted[:-1]), *quoted[-1:])))},
    }
    context = contexts.get(kind, {})
    return error(kind, place, value, MESSAGES[kind].format(**context), **context)


def _integer(value: Any, _: Field) -> int:
    match value:
        case int():
            return int(value)
        case float() if not math.isfinite(value):
            raise _Wrong("finite_number")
        case float() if not value.is_integer():
            raise _Wrong("int_from_float")
        case float():
            return int(value)
        case str():
            return _parsed(value, int, "int_parsing")
        case _:
            raise _Wrong("int_type")


def _number(value: Any, _: Field) -> float:
    match value:
        case int() | float():
            return float(value)
        case str():
            return _parsed(value, float, "float_parsing")
        case _:
            raise _Wrong("float_type")


def _parsed(value: str, convert: Callable[[str], Number], kind: str) -> Number:
    try:
        return convert(value)
    except ValueError:
        raise _Wrong(kind) from None


def _boolean(value: Any, _: Field) -> bool:
    if isinstance(value, bool):
        return value
    if not isinstance(value, str | int | float):
        raise _Wrong("bool_type")
    converted = _BOOLEANS.get(str(value).lower())
    if converted is None:
        raise _Wrong("bool_parsing")
    return converted


def _literal(value: Any, field: Field) -> Any:
    if value not in field.literals:
        raise _Wrong("literal_error")
    return value


def _instance(type_: type, kind: str) -> Callable[[Any, Field], Any]:
    def check(value: Any, _: Field) -> Any:
        if not isinstance(value, type_):
            raise _Wrong(kind)
        return value

    return check


_CONVERTERS: dict[str, Callable[[Any, Field], Any]] = {
    "any": lambda value, _: value,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "literal": _literal,
    "string": _instance(str, "string_type"),
    "list": _instance(list, "list_type"),
    "object": _instance(dict, "dict_type"),
    "model": _instance(dict, "model_attributes_type"),
}


def _shown(value: object) -> str:
    """A value as an error shows it: containers by size, long texts cut."""
    match value:
        case list() | dict():
            return f"<{type(value).__name__} of {len(value)} items>"
        case _:
            text = str(value)
            return text if len(text) <= _MAX_SHOWN_INPUT else text[:_MAX_SHOWN_INPUT] + "...[truncated]"
