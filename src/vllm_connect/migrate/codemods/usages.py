"""What calls ask of a server, for `--url`; nothing is rewritten here, and nothing reported."""

from __future__ import annotations

import json
from collections.abc import Iterator

import libcst as cst

from vllm_connect.facts.parameters import PATHS
from vllm_connect.migrate.client import endpoint_by_name, endpoint_of, uses
from vllm_connect.migrate.codemod import Codemod
from vllm_connect.migrate.entries import Values, dict_entries, keyword_entries
from vllm_connect.migrate.exports import dotted_name
from vllm_connect.migrate.project import is_open
from vllm_connect.migrate.trails import text_of

__all__ = ["Usages"]

# What the SDK takes beside the parameters of a request.
OPTIONS = frozenset({"extra_headers", "extra_query", "extra_body", "timeout", "timeouts", "thinking"})
LONGEST_VALUE = 100
# Methods that send a request beside those of the parameters' table: their last names, and the path.
OTHERS = {
    "models.list": "/models",
    "audio.transcriptions.create": "/audio/transcriptions",
    "audio.translations.create": "/audio/translations",
}


class Usages(Codemod):
    """Endpoints, models and parameters of every call on a client."""

    def visit_Call(self, node: cst.Call) -> None:
        """Note what one call asks for."""
        trails = self.called(node)
        endpoints = {endpoint_of(one) for one in trails} - {None}
        by_name = endpoint_by_name(dotted_name(node.func)) if any(map(is_open, trails)) else None
        kinds = {one.kind for one in endpoints if one is not None} or ({by_name.kind} if by_name else set())
        if len(kinds) == 1:
            self._note(node, PATHS[kinds.pop()], is_sure=bool(endpoints))
            return
        for one in trails:
            use = uses(one)
            if use is not None and use.path in OTHERS:
                self._note(node, OTHERS[use.path], is_sure=True)

    def _note(self, call: cst.Call, path: str, *, is_sure: bool) -> None:
        self.uses(call, "endpoint", path, is_sure=is_sure)
        for values in (keyword_entries(call), *self._dicts_of(call)):
            for name, value in values.items():
                if name == "model":
                    for text in {text_of(one) for one in self.values(value)} - {None}:
                        self.uses(value, "model", str(text), of=path, is_sure=is_sure)
                elif name not in OPTIONS:
                    self.uses(value, "parameter", name, of=path, value=_short(value), is_sure=is_sure)

    def _dicts_of(self, call: cst.Call) -> Iterator[Values]:
        for arg in call.args:
            if arg.star == "**" or (arg.keyword is not None and arg.keyword.value == "extra_body"):
                yield from (dict_entries(one) for one in self.values(arg.value) if isinstance(one, cst.Dict))


def _short(node: cst.BaseExpression) -> str:
    """Return a short literal as JSON, empty for all else."""
    try:
        text = json.dumps(_literal(node))
    except TypeError:
        return ""
    return text if len(text) <= LONGEST_VALUE else ""


def _literal(node: cst.BaseExpression) -> object:
    match node:
        case cst.Name(value="True" | "False" | "None" as name):
            return {"True": True, "False": False, "None": None}[name]
        case cst.Integer() | cst.Float() | cst.SimpleString():
            return node.evaluated_value
        case cst.List(elements=elements):
            return [_literal(one.value) for one in elements]
        case cst.Dict(elements=elements):
            return {
                text_of(one.key) if isinstance(one, cst.DictElement) else None: _literal(one.value)
                for one in elements
            }
        case _:
            raise TypeError
