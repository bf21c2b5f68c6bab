"""Results of before 1.0 were dicts, those of today are objects: `r["choices"][0]["text"]` -> `r.choices[0].text`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import libcst as cst

from vllm_connect.migrate.client import uses
from vllm_connect.migrate.codemod import Codemod, Sheet
from vllm_connect.migrate.exports import dotted_name
from vllm_connect.migrate.finding import Severity
from vllm_connect.migrate.legacy import CALLS
from vllm_connect.migrate.project import PARTS
from vllm_connect.migrate.rule import Rule
from vllm_connect.migrate.trails import text_of

__all__ = ["LegacyResults"]

RESULT = Rule(
    "legacy-result",
    "A result read as a dict",
    Severity.BREAKS,
    "results are objects since openai 1.0: reading one as a dict raises TypeError or AttributeError",
    "Read its fields as attributes: result.choices[0].message.content.",
)

# Each kind of object in a result, its fields, and the kind of what stands there: `LIST[]` for a list, empty for a plain
# value. The first is what the methods return; what a stream yields has the same fields.
SHAPES: Mapping[str, Mapping[str, str]] = {
    "result": {
        **dict.fromkeys(("id", "object", "created", "model", "system_fingerprint", "text"), ""),
        "choices": "choice[]",
        "data": "item[]",
        "usage": "usage",
    },
    "choice": {
        **dict.fromkeys(("index", "finish_reason", "text"), ""),
        "message": "message",
        "delta": "message",
        "logprobs": "logprobs",
    },
    "message": {
        **dict.fromkeys(("role", "content"), ""),
        "function_call": "function",
        "tool_calls": "call[]",
    },
    "call": {**dict.fromkeys(("id", "type", "index"), ""), "function": "function"},
    "function": dict.fromkeys(("name", "arguments"), ""),
    "usage": dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), ""),
    "logprobs": dict.fromkeys(("tokens", "token_logprobs", "top_logprobs", "text_offset", "content"), ""),
    # An embedding, or a model of the list.
    "item": dict.fromkeys(("embedding", "index", "object", "id", "created", "owned_by", "root"), ""),
}
# Fields that are never missing.
PRESENT = frozenset(
    {"usage", "choices", "data", "message", "delta", "id", "object", "model", "created", "index", "embedding"}
)
# What dicts can and objects cannot.
OF_DICTS = frozenset({"get", "items", "keys", "pop", "setdefault", "to_dict_recursive", "update", "values"})
# Functions that write a dict out.
WRITERS = frozenset({"json.dumps", "json.dump", "flask.jsonify", "builtins.dict"})
NAMES_OF_WRITERS = frozenset(one.rpartition(".")[2] for one in WRITERS)
FIELDS = frozenset(field for fields in SHAPES.values() for field in fields)
# What a message is called where it is put into a list.
MESSAGE = re.compile(r"message|msg|reply|answer|response", re.IGNORECASE)
# What a chain of indices looks like that can hardly be anything but a result.
TELLING = re.compile(
    r"""\[["']choices["']\]\[\w+\]\[["'](?:message|delta|text)["']\]|\[["']data["']\]\[\w+\]\[["']embedding["']\]"""
)
# Where dicts of this form come from: answers read as JSON, libraries whose results can be read both ways.
ELSEWHERE = re.compile(
    r"\bjson\b|^(?:requests|httpx|aiohttp|litellm|ollama|boto3|yaml|together|groq|llama_cpp)\."
)


class Shape(NamedTuple):
    """What an expression is within a result: its kind, and whether the result came from a call of before 1.0."""

    kind: str
    is_old: bool


class LegacyResults(Codemod):
    """Dict access on what `create()` and its siblings return."""

    rules = (RESULT,)
    words = ("openai", "choices", "embedding")

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(sheet)
        self._told: set[tuple[int, int]] = set()
        # Expressions that need no parentheses, as nothing stands beside them.
        self._alone: set[cst.CSTNode] = set()

    def visit_Assign(self, node: cst.Assign) -> None:
        self._alone.add(node.value)

    def visit_AugAssign(self, node: cst.AugAssign) -> None:
        self._alone.add(node.value)

    def visit_Arg(self, node: cst.Arg) -> None:
        self._alone.add(node.value)

    def visit_Return(self, node: cst.Return) -> None:
        if node.value is not None:
            self._alone.add(node.value)

    def leave_Subscript(
        self, original_node: cst.Subscript, updated_node: cst.Subscript
    ) -> cst.Subscript | cst.Attribute:
        match original_node.slice:
            case [cst.SubscriptElement(slice=cst.Index(value=index))]:
                key = text_of(index)
            case _:
                return updated_node
        if key is None:
            return updated_node
        shape = self._shape(original_node.value)
        if shape is None:
            self._look_at_unseen(original_node)
            return updated_node
        if shape.kind.endswith("[]"):
            return updated_node
        if key in SHAPES[shape.kind]:
            self._fixed(original_node)
            return _attribute(updated_node.value, key)
        self.left(original_node, RESULT, f"the openai package of today has no `{key}` here")
        return updated_node

    def _look_at_unseen(self, node: cst.Subscript) -> None:
        root: cst.BaseExpression = node.value
        while isinstance(root, cst.Subscript):
            root = root.value
        is_written_here = isinstance(root, cst.Name) and any(
            isinstance(one, cst.Dict) for one in self.values(root)
        )
        trails = self.trails(node.value)
        if (
            not any(map(ELSEWHERE.search, trails))
            and not is_written_here
            and TELLING.search(self.sheet.module.code_for_node(node))
        ):
            at = self.sheet.position(node)
            if (at.line, at.column) not in self._told:
                self._told.add((at.line, at.column))
                self.left(node, RESULT, "if this is a result: where it comes from is not to be seen")

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        name = dotted_name(original_node.func).rpartition(".")[2]
        if isinstance(original_node.func, cst.Attribute) and original_node.func.attr.value in OF_DICTS:
            shape = self._shape(original_node.func.value)
            if shape is not None and shape.kind in SHAPES:
                return self._method(original_node, updated_node, shape, original_node.func.attr.value)
        if not original_node.args:
            return updated_node
        if name == "append" and len(original_node.args) == 1:
            return self._with_dict(original_node, updated_node, "message")
        if name in NAMES_OF_WRITERS and self.trails(original_node.func) <= WRITERS:
            return self._with_dict(original_node, updated_node, "")
        if name == "hasattr":
            return self._hasattr(original_node, updated_node)
        return updated_node

    def _method(self, node: cst.Call, updated: cst.Call, shape: Shape, method: str) -> cst.BaseExpression:
        """Return a call of a dict's method on an object of a result as it is today."""
        owner = cst.ensure_type(updated.func, cst.Attribute).value
        if method == "to_dict_recursive":
            self._fixed(node)
            return updated.with_changes(func=_attribute(owner, "to_dict"))
        if method != "get":
            self.left(
                node, RESULT, f"an object has no {method}()", "Ask for the fields by name, or use to_dict()."
            )
            return updated
        key = text_of(node.args[0].value) if node.args else None
        if key is None:
            return updated
        if key not in SHAPES[shape.kind]:
            self.left(node, RESULT, f"the openai package of today has no `{key}` here")
            return updated
        default = node.args[1].value if len(node.args) > 1 else None
        read = _attribute(owner, key)
        if key in PRESENT or default is None or _is_none(default):
            self._fixed(node)
            return read
        if not _is_empty(default) or SHAPES[shape.kind][key]:
            self.left(node, RESULT, f"`{key}` is None where it is missing, and get() has another default")
            return updated
        self._fixed(node)
        either = cst.BooleanOperation(left=read, operator=cst.Or(), right=updated.args[1].value)
        if node in self._alone:
            return either
        return either.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])

    def _hasattr(self, node: cst.Call, updated: cst.Call) -> cst.BaseExpression:
        """`hasattr(delta, "content")`, which is always true of an object."""
        if len(node.args) != 2:  # noqa: PLR2004 - hasattr takes two
            return updated
        shape, key = self._shape(node.args[0].value), text_of(node.args[1].value)
        if shape is None or not shape.is_old or key is None or key not in SHAPES.get(shape.kind, {}):
            return updated
        self._fixed(node)
        return _is_given(_attribute(updated.args[0].value, key), is_given=True)

    def _with_dict(self, node: cst.Call, updated: cst.Call, kind: str) -> cst.BaseExpression:
        """Hand on a dict where a result of before 1.0 was one."""
        shape = self._shape(node.args[0].value)
        if (
            shape is None
            or not shape.is_old
            or shape.kind not in SHAPES
            or shape.kind != (kind or shape.kind)
        ):
            return updated
        self._fixed(node)
        as_dict = cst.Call(_attribute(updated.args[0].value, "to_dict"))
        if self.trails(node.func) == {"builtins.dict"}:
            return as_dict
        return updated.with_changes(args=[updated.args[0].with_changes(value=as_dict), *updated.args[1:]])

    def leave_Element(self, original_node: cst.Element, updated_node: cst.Element) -> cst.Element:
        """Put a dict into a list of messages, as the others are."""
        if not MESSAGE.search(_last(original_node.value)):
            return updated_node
        shape = self._shape(original_node.value)
        if shape != Shape("message", is_old=True):
            return updated_node
        self._fixed(original_node.value)
        return updated_node.with_changes(value=cst.Call(_attribute(updated_node.value, "to_dict")))

    def leave_Comparison(self, original_node: cst.Comparison, updated_node: cst.Comparison) -> cst.Comparison:
        match original_node.comparisons:
            case [cst.ComparisonTarget(operator=cst.In() | cst.NotIn() as operator, comparator=owner)]:
                key = text_of(original_node.left)
            case _:
                return updated_node
        shape = self._shape(owner) if key in FIELDS else None
        if shape is None or key is None or key not in SHAPES.get(shape.kind, {}):
            return updated_node
        self._fixed(original_node)
        read = _attribute(updated_node.comparisons[0].comparator, key)
        changed = _is_given(read, is_given=isinstance(operator, cst.In))
        return changed.with_changes(lpar=updated_node.lpar, rpar=updated_node.rpar)

    def _fixed(self, node: cst.CSTNode) -> None:
        """Report a place once, however many steps of it change."""
        at = self.sheet.position(node)
        if (at.line, at.column) not in self._told:
            self._told.add((at.line, at.column))
            self.fixed(node, RESULT, "fields of results are attributes since openai 1.0")

    def _shape(self, node: cst.BaseExpression) -> Shape | None:
        trails = self.trails(node)
        shapes = {_shape(one) for one in trails}
        return next(iter(shapes)) if len(shapes) == 1 else None


def _shape(trail: str) -> Shape | None:
    """Return what a trail leads to within a result, None where it leads elsewhere, or to a plain value."""
    parts = PARTS.split(trail)
    for end in range(2, len(parts)):
        if parts[end] == "()":
            called = "".join(parts[:end])
            if called in CALLS or _is_create(called):
                return _within(parts[end + 1 :], is_old=called in CALLS)
    return None


def _is_create(trail: str) -> bool:
    use = uses(trail)
    return use is not None and use.path in {one.path for one in CALLS.values()}


def _within(steps: list[str], *, is_old: bool) -> Shape | None:
    kind = "result"
    for step in steps:
        if step == "[]":
            kind = kind.removesuffix("[]") if kind.endswith("[]") else kind if kind == "result" else ""
        else:
            name = step.strip(".[]'")
            is_sure = not name.endswith("?") or name[:-1] in PRESENT
            kind = SHAPES.get(kind, {}).get(name.removesuffix("?"), "") if is_sure else ""
        if not kind:
            return None
    return Shape(kind, is_old)


def _last(node: cst.BaseExpression) -> str:
    """Return the last name of an expression."""
    match node:
        case cst.Name(value=name) | cst.Attribute(attr=cst.Name(value=name)):
            return name
        case cst.Subscript(slice=[cst.SubscriptElement(slice=cst.Index(value=index))]):
            return text_of(index) or ""
        case _:
            return ""


def _attribute(owner: cst.BaseExpression, name: str) -> cst.Attribute:
    return cst.Attribute(value=owner, attr=cst.Name(name))


def _is_given(read: cst.BaseExpression, *, is_given: bool) -> cst.Comparison:
    operator: cst.BaseCompOp = cst.IsNot() if is_given else cst.Is()
    return cst.Comparison(read, [cst.ComparisonTarget(operator, cst.Name("None"))])


def _is_none(node: cst.BaseExpression) -> bool:
    return isinstance(node, cst.Name) and node.value == "None"


def _is_empty(node: cst.BaseExpression) -> bool:
    """Whether a literal is an empty one: what stands behind `or` is what get() returned then."""
    if isinstance(node, cst.Dict | cst.List):
        return not node.elements
    text = text_of(node)
    return text == "" or (isinstance(node, cst.Integer) and node.value == "0")
