"""Where the value of an expression comes from, as far as that can be read from the source; nothing is run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import libcst as cst

from vllm_connect.migrate.project import UNKNOWN, Project, Trails

__all__ = ["Trailing", "text_of"]

# Functions that give back what they are given, awaited, watched or with more abilities.
WRAPPERS = frozenset(
    {
        "asyncio.create_task",
        "asyncio.run",
        "asyncio.wait_for",
        "copy.copy",
        "copy.deepcopy",
        "instructor.from_openai",
        "instructor.patch",
        "instructor.apatch",
        "langsmith.wrappers.wrap_openai",
        "braintrust.wrap_openai",
        "weave.patch_openai",
    }
)
# Functions that give back the function that they are given, with arguments.
PARTIAL = frozenset({"functools.partial"})
# Functions that give back the elements that they are given.
REARRANGING = frozenset({"builtins.list", "builtins.reversed", "builtins.sorted", "builtins.tuple"})
OPTIONAL = frozenset(
    {"typing.Optional", "typing.Union", "typing.Annotated", "typing.Final", "typing.ClassVar"}
)


class Trailing(ABC):
    """Follows expressions of one module back to where they come from; what its names are, a subclass knows."""

    def __init__(self, project: Project, file: str) -> None:
        self.project = project
        self.file = file

    @abstractmethod
    def named(self, name: cst.Name) -> Trails:
        """Return where a name comes from."""

    def trails(self, node: cst.CSTNode | None) -> Trails:
        """Return all that an expression may be; empty for None, `?` among them where not all is known."""
        match node:
            case cst.Name(value="None") | None:
                return frozenset()
            case cst.Name():
                return self.named(node)
            case cst.Attribute(value=value, attr=attr):
                return self._further(value, f".{attr.value}")
            case cst.Call(func=cst.Attribute(value=value, attr=cst.Name(value="get")), args=[key, *more]) if (
                name := text_of(key.value)
            ):
                return self._further(
                    value, _step(name, may_be_else=bool(more) and not _is_plain(more[0].value))
                )
            case cst.Call(func=function):
                return self._called(node, function)
            case cst.Await(expression=inner) | cst.NamedExpr(value=inner):
                return self.trails(inner)
            case cst.Subscript(value=value):
                return self._further(value, _index(node))
            case cst.IfExp(body=one, orelse=other):
                return self.trails(one) | self.trails(other)
            case cst.BooleanOperation(left=one, right=other):
                return self.trails(one) if _is_empty(other) else self.trails(one) | self.trails(other)
            case _:
                return UNKNOWN

    def annotated(self, node: cst.BaseExpression) -> Trails:
        """Return what a value is by its annotation."""
        match node:
            case cst.SimpleString() | cst.ConcatenatedString():
                return self._annotated_by_text(node)
            case cst.BinaryOperation(operator=cst.BitOr(), left=left, right=right):
                return self.annotated(left) | self.annotated(right)
            case cst.Subscript(value=value, slice=elements):
                if not self.trails(value) <= OPTIONAL:
                    return UNKNOWN
                indices = [one.slice.value for one in elements if isinstance(one.slice, cst.Index)]
                return union(self.annotated(one) for one in indices)
            case cst.Name(value="None"):
                return frozenset()
            case cst.Name() | cst.Attribute():
                return self._resolved(
                    "?" if one == "?" or one.startswith("builtins.") else f"{one}()"
                    for one in self.trails(node)
                )
            case _:
                return UNKNOWN

    def _annotated_by_text(self, node: cst.SimpleString | cst.ConcatenatedString) -> Trails:
        text = text_of(node)
        try:
            return UNKNOWN if text is None else self.annotated(cst.parse_expression(text))
        except cst.ParserSyntaxError:
            return UNKNOWN

    def _called(self, call: cst.Call, function: cst.BaseExpression) -> Trails:
        functions = self.trails(function)
        first = call.args[0].value if call.args and call.args[0].keyword is None else None
        if first is not None and functions and functions <= WRAPPERS | REARRANGING | PARTIAL:
            return self.trails(first)
        if first is not None and functions == {"typing.cast"}:
            return self.annotated(first)
        return self._resolved("?" if one == "?" else f"{one}()" for one in functions)

    def _further(self, node: cst.BaseExpression, step: str) -> Trails:
        return self._resolved("?" if one == "?" else f"{one}{step}" for one in self.trails(node))

    def _resolved(self, trails: Iterable[str]) -> Trails:
        return union(self.project.resolved(one) for one in trails)

    def elements(self, node: cst.BaseExpression) -> Trails:
        """Return what an iteration over an expression gives."""
        return self._resolved("?" if one == "?" else f"{one}[]" for one in self.trails(node))


def union(several: Iterable[Trails]) -> Trails:
    """Return all trails of several sets."""
    return frozenset().union(*several)


def text_of(node: cst.CSTNode | None) -> str | None:
    """Return the text of a string literal, None for all else."""
    if isinstance(node, cst.SimpleString | cst.ConcatenatedString):
        value = node.evaluated_value
        return value if isinstance(value, str) else None
    return None


def _index(node: cst.Subscript) -> str:
    """Return the step of an index: the key where it is a literal text, else that of any element."""
    if len(node.slice) == 1 and isinstance(node.slice[0].slice, cst.Index):
        return _step(text_of(node.slice[0].slice.value))
    return "[]"


def _step(key: str | None, *, may_be_else: bool = False) -> str:
    """Return the step of a key; `['key?']` where something else may stand there."""
    if key is None or not key.isidentifier():
        return "[]"
    return f"['{key}?']" if may_be_else else f"['{key}']"


def _is_empty(node: cst.BaseExpression) -> bool:
    return isinstance(node, cst.List | cst.Dict | cst.Tuple) and not node.elements


def _is_plain(node: cst.BaseExpression) -> bool:
    """Whether a literal is nothing that one goes on from."""
    is_none = isinstance(node, cst.Name) and node.value == "None"
    return is_none or isinstance(node, cst.SimpleString | cst.Integer | cst.Float)
