"""What a server's own `/openapi.json` says: the parameters of each kind of request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["declared_parameters"]

# Schemas may refer to each other in circles.
DEEPEST = 8


def declared_parameters(document: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Return the names of the body's fields by kind of request; a kind without a route, or without fields, is left out."""
    from vllm_connect.facts.parameters import PATHS  # noqa: PLC0415 - the table is loaded with the first that needs it

    found = {}
    for kind, path in PATHS.items():
        schema = _at(
            document, "paths", f"/v1{path}", "post", "requestBody", "content", "application/json", "schema"
        )
        names = frozenset(_names(document, schema, DEEPEST))
        if names:
            found[str(kind)] = names
    return found


def _names(document: Mapping[str, Any], schema: Any, depth: int) -> Iterator[str]:
    if not isinstance(schema, Mapping) or depth == 0:
        return
    if isinstance(schema.get("$ref"), str):
        yield from _names(document, _at(document, *schema["$ref"].removeprefix("#/").split("/")), depth - 1)
    yield from _at(schema, "properties")
    for way in ("anyOf", "oneOf", "allOf"):
        ways = schema.get(way)
        for one in ways if isinstance(ways, list) else ():
            yield from _names(document, one, depth - 1)


def _at(value: Any, *steps: str) -> Mapping[str, Any]:
    for step in steps:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}
