"""GET /openapi.json: the routes of this very server, which tell its kind."""

import re
from collections.abc import Iterable
from typing import Any

from vllm_connect.simulator.requests.fields import Shape
from vllm_connect.simulator.requests.intake import Contract

Operation = dict[str, Any]

CONSTRAINT = "structured_outputs"


def operation(path: str, contract: Contract | None) -> Operation:
    """What the document says of one method of one path."""
    described: Operation = {"responses": {"200": {"description": "Successful Response"}}}
    named = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", path)
    ]
    if named:
        described["parameters"] = named
    if contract:
        references = [{"$ref": f"#/components/schemas/{shape.name}"} for shape in contract.shapes]
        schema = references[0] if len(references) == 1 else {"anyOf": references, "title": "Request"}
        described["requestBody"] = {"content": {"application/json": {"schema": schema}}, "required": True}
    return described


def document(
    routes: Iterable[tuple[str, str, Contract | None]],
    constraint_names: Iterable[str] = ("structured_outputs",),
) -> dict[str, Any]:
    """The whole document, of methods, paths and what each takes; constraints have the names of the release."""
    paths: dict[str, dict[str, Operation]] = {}
    schemas: dict[str, Any] = {}
    for method, path, contract in routes:
        paths.setdefault(path, {})[method.lower()] = operation(path, contract)
        if contract:
            schemas |= {shape.name: _schema(shape, constraint_names) for shape in contract.shapes}
    info = {"title": "FastAPI", "version": "0.1.0"}
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _schema(shape: Shape, constraint_names: Iterable[str]) -> dict[str, Any]:
    required = [field.name for field in shape.fields if field.required]
    properties: dict[str, Any] = {field.name: {} for field in shape.fields}
    if properties.pop(CONSTRAINT, None) is not None:
        properties |= {name: {} for name in constraint_names}
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}
