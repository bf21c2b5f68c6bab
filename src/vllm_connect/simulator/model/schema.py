"""A value that a JSON Schema allows: small, made by chance, the keywords that people use."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

from vllm_connect.simulator.model import pattern
from vllm_connect.simulator.model.words import KINDS

Schema = Mapping[str, Any]

TYPES: Final = ("object", "array", "string", "integer", "number", "boolean", "null")
_FORMATS: Final = {
    "date": "2026-11-23",
    "date-time": "2026-11-23T09:50:00Z",
    "time": "09:50:00Z",
    "email": "writer@example.com",
    "uri": "https://example.com/river",
    "uuid": "6f1c2a34-5b67-4c89-8d01-23456789abcd",
    "ipv4": "192.0.2.7",
    "ipv6": "2001:db8::7",
    "hostname": "example.com",
}
_DEEPEST: Final = 24


def unknown_type(schema: object) -> str | None:
    """The first type in a schema that JSON Schema does not know."""
    if isinstance(schema, list):
        return next(filter(None, map(unknown_type, schema)), None)
    if not isinstance(schema, dict):
        return None
    given = schema.get("type")
    named = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    wrong = next((name for name in named if name not in TYPES), None)
    inner = [value for key, value in schema.items() if key not in ("enum", "const", "default", "examples")]
    properties = schema.get("properties")
    inner = [value for value in inner if value is not properties]
    inner += list(properties.values()) if isinstance(properties, dict) else []
    return wrong or unknown_type(inner)


def instance(schema: object, random: Random) -> Any:
    """A value that the schema allows."""
    return _instance(schema, schema if isinstance(schema, dict) else {}, random, 0)


def _instance(schema: object, root: Schema, random: Random, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return None if depth > _DEEPEST else {}
    if "$ref" in schema:
        return _instance(_resolved(str(schema["$ref"]), root), root, random, depth + 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return random.choice(schema["enum"])
    for union in ("anyOf", "oneOf"):
        if union in schema:
            # The last way is the plainest in most recursive schemas, so that they come to an end.
            ways = schema[union]
            return _instance(
                ways[-1] if depth > _DEEPEST // 4 else random.choice(ways), root, random, depth + 1
            )
    if "allOf" in schema:
        return _instance(_merged(schema, root), root, random, depth + 1)
    return _MAKERS[_type(schema)](schema, root, random, depth)


def _resolved(reference: str, root: Schema) -> object:
    found: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")] if part else found
    return found


def _merged(schema: Schema, root: Schema) -> Schema:
    merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
    for part in schema["allOf"]:
        resolved: Any = _resolved(part["$ref"], root) if "$ref" in part else part
        for key, value in resolved.items():
            if key == "properties":
                merged[key] = {**merged.get(key, {}), **value}
            elif key == "required":
                merged[key] = [*merged.get(key, []), *value]
            else:
                merged[key] = value
    return merged


def _type(schema: Schema) -> str:
    given = schema.get("type")
    if isinstance(given, list):
        return next((name for name in given if name != "null"), "null")
    if isinstance(given, str):
        return given
    return "array" if "items" in schema or "prefixItems" in schema else "object"


def _object(schema: Schema, root: Schema, random: Random, depth: int) -> dict[str, Any]:
    properties = schema.get("properties", {})
    required = schema.get("required", list(properties))
    # What is not required is left out below the first level, where recursion would otherwise not end.
    wanted = [name for name in properties if name in required or depth == 0]
    made = {name: _instance(properties[name], root, random, depth + 1) for name in wanted}
    return made | {name: "value" for name in required if name not in properties}


def _array(schema: Schema, root: Schema, random: Random, depth: int) -> list[Any]:
    places = schema.get("prefixItems", [])
    least = max(schema.get("minItems", 1), len(places))
    count = min(max(least, random.randint(1, 2)), schema.get("maxItems", least + 1))
    others = schema.get("items", {"type": "string"})
    made = [_instance(place, root, random, depth + 1) for place in places[:count]]
    return made + [_instance(others, root, random, depth + 1) for _ in range(count - len(made))]


def _string(schema: Schema, root: Schema, random: Random, depth: int) -> str:  # noqa: ARG001 - a row of _MAKERS
    if "pattern" in schema:
        return pattern.example(schema["pattern"], random)
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    text = random.choice(KINDS["noun"])
    while len(text) < schema.get("minLength", 0):
        text += " " + random.choice(KINDS["noun"])
    return text[: schema.get("maxLength", len(text))]


def _integer(schema: Schema, root: Schema, random: Random, depth: int) -> int:  # noqa: ARG001 - a row of _MAKERS
    least = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
    most = schema.get("maximum", schema.get("exclusiveMaximum", least + 10) - 1)
    if "minimum" not in schema and "exclusiveMinimum" not in schema:
        least = min(least, most)
    step = schema.get("multipleOf", 1)
    return int(random.randint(-(-int(least) // step), int(most) // step) * step)


def _number(schema: Schema, root: Schema, random: Random, depth: int) -> float:
    return _integer(schema, root, random, depth) if "multipleOf" in schema else _fraction(schema, random)


def _fraction(schema: Schema, random: Random) -> float:
    least = schema.get("minimum", schema.get("exclusiveMinimum"))
    most = schema.get("maximum", schema.get("exclusiveMaximum"))
    least = (most - 10 if most is not None else 0) if least is None else least
    most = least + 10 if most is None else most
    return float(round(least + (most - least) * random.uniform(0.25, 0.75), 3))


_MAKERS: Final[dict[str, Callable[[Schema, Schema, Random, int], Any]]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": lambda _schema, _root, random, _depth: random.random() < 0.5,  # noqa: PLR2004 - a coin
    "null": lambda *_: None,
}
