"""Names and values that go into one request, whether they are keywords of a call or keys of a dict, and how they change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import libcst as cst

from vllm_connect.migrate.arguments import without_elements
from vllm_connect.migrate.trails import text_of

__all__ = ["Edit", "Values", "dict_entries", "edited_call", "edited_dict", "keyword_entries", "text_node"]

Values = Mapping[str, cst.BaseExpression]


@dataclass(frozen=True)
class Edit:
    """What becomes of one name: an empty `name` takes it out; `value` makes its value of all the values there."""

    name: str = ""
    value: Callable[[Values], cst.BaseExpression] | None = None


def keyword_entries(call: cst.Call) -> dict[str, cst.BaseExpression]:
    """Return the keywords of a call."""
    return {one.keyword.value: one.value for one in call.args if one.keyword is not None}


def dict_entries(node: cst.Dict) -> dict[str, cst.BaseExpression]:
    """Return the literal keys of a dict."""
    return {
        name: one.value
        for one in node.elements
        if isinstance(one, cst.DictElement) and (name := text_of(one.key)) is not None
    }


def edited_call(call: cst.Call, edits: Mapping[str, Edit]) -> cst.Call:
    """Return a call with its keywords changed."""
    values = keyword_entries(call)
    names = ["" if one.keyword is None else one.keyword.value for one in call.args]
    args = [
        _edited_arg(one, edits[name], values) if name in edits else one
        for one, name in zip(call.args, names, strict=True)
    ]
    gone = [at for at, name in enumerate(names) if name in edits and not edits[name].name]
    return without_elements(call.with_changes(args=args), "args", gone)


def edited_dict(node: cst.Dict, edits: Mapping[str, Edit]) -> cst.Dict:
    """Return a dict with its literal keys changed."""
    values = dict_entries(node)
    names = [(text_of(one.key) if isinstance(one, cst.DictElement) else None) or "" for one in node.elements]
    elements = [
        _edited_element(cst.ensure_type(one, cst.DictElement), edits[name], values) if name in edits else one
        for one, name in zip(node.elements, names, strict=True)
    ]
    gone = [at for at, name in enumerate(names) if name in edits and not edits[name].name]
    return without_elements(node.with_changes(elements=elements), "elements", gone)


def _edited_arg(arg: cst.Arg, edit: Edit, values: Values) -> cst.Arg:
    value = arg.value if edit.value is None else edit.value(values)
    return arg.with_changes(keyword=cst.Name(edit.name or "gone"), value=value)


def _edited_element(element: cst.DictElement, edit: Edit, values: Values) -> cst.DictElement:
    value = element.value if edit.value is None else edit.value(values)
    return element.with_changes(key=text_node(edit.name, like=element.key), value=value)


def text_node(text: str, like: cst.CSTNode | None = None) -> cst.SimpleString:
    """Return a text as a literal, in the quotes of another one."""
    quote = like.quote if isinstance(like, cst.SimpleString) and len(like.quote) == 1 else '"'
    return cst.SimpleString(f"{quote}{text}{quote}")
