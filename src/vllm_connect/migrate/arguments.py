"""The arguments of a call as values to look at, and as text to change without losing its layout."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import libcst as cst

__all__ = ["added", "keyword", "keyword_names", "rewritten", "takes_more", "without", "without_elements"]

Node = TypeVar("Node", bound=cst.CSTNode)


def keyword(call: cst.Call, name: str) -> cst.Arg | None:
    """Return a keyword argument, None where it is not given."""
    return next((one for one in call.args if one.keyword is not None and one.keyword.value == name), None)


def keyword_names(call: cst.Call) -> list[str]:
    """Return the names of the keyword arguments, in order."""
    return [one.keyword.value for one in call.args if one.keyword is not None]


def takes_more(call: cst.Call) -> bool:
    """Whether a call hands on arguments that are not seen here (`*args`, `**kwargs`)."""
    return any(one.star for one in call.args)


def without(call: cst.Call, names: Iterable[str]) -> cst.Call:
    """Return a call without some of its keyword arguments."""
    gone = set(names)
    places = [at for at, one in enumerate(call.args) if one.keyword is not None and one.keyword.value in gone]
    return without_elements(call, "args", places)


def without_elements(node: Node, field: str, places: Iterable[int]) -> Node:
    """Return a call, a dict or a list without some of its parts; the layout and the comments of the others stay."""
    gone = set(places)
    parts = getattr(node, field)
    kept = [one for at, one in enumerate(parts) if at not in gone]
    if not gone:
        return node
    if not kept:
        return node.with_changes(**{field: ()}, **_closed(node))
    if len(parts) - 1 in gone:
        kept[-1] = _as_last(kept[-1], parts[-1])
    return node.with_changes(**{field: kept})


def _closed(node: cst.CSTNode) -> dict[str, object]:
    """Return what leaves nothing between the brackets of a node."""
    nothing = cst.SimpleWhitespace("")
    match node:
        case cst.Call():
            return {"whitespace_before_args": nothing}
        case cst.Dict(lbrace=left, rbrace=right):
            return {
                "lbrace": left.with_changes(whitespace_after=nothing),
                "rbrace": right.with_changes(whitespace_before=nothing),
            }
    return {}


def rewritten(call: cst.Call, name: str, change: Callable[[cst.Arg], cst.Arg]) -> cst.Call:
    """Return a call with one of its keyword arguments changed."""
    args = [
        change(one) if one.keyword is not None and one.keyword.value == name else one for one in call.args
    ]
    return call.with_changes(args=args)


def added(call: cst.Call, name: str, value: cst.BaseExpression) -> cst.Call:
    """Return a call with one more keyword argument, in the layout of the others."""
    arg = cst.Arg(
        keyword=cst.Name(name),
        value=value,
        equal=cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace("")),
    )
    at = next((place for place, one in enumerate(call.args) if one.star == "**"), len(call.args))
    args = list(call.args)
    if at < len(args):
        args.insert(at, arg.with_changes(comma=cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))))
    elif args:
        last = args[-1]
        between, behind = _parted(_between(call.args), last.comma)
        args[-1] = last.with_changes(comma=between, whitespace_after_arg=cst.SimpleWhitespace(""))
        args.append(arg.with_changes(comma=behind, whitespace_after_arg=last.whitespace_after_arg))
    else:
        args.append(arg)
    return call.with_changes(args=args)


def _parted(between: cst.Comma, behind: Any) -> tuple[cst.Comma, Any]:
    """Return both commas with the comment of what was the last one: it stays behind its argument."""
    space, ahead = getattr(behind, "whitespace_after", None), between.whitespace_after
    if not isinstance(space, cst.ParenthesizedWhitespace) or not isinstance(
        ahead, cst.ParenthesizedWhitespace
    ):
        return between, behind
    told = between.with_changes(whitespace_after=ahead.with_changes(first_line=space.first_line))
    return told, behind.with_changes(whitespace_after=space.with_changes(first_line=cst.TrailingWhitespace()))


def _between(args: Sequence[cst.Arg]) -> cst.Comma:
    """Return the comma that stands between arguments of a call."""
    if len(args) > 1 and isinstance(args[0].comma, cst.Comma):
        space = args[0].comma.whitespace_after
        if isinstance(space, cst.ParenthesizedWhitespace):
            space = space.with_changes(first_line=cst.TrailingWhitespace(), empty_lines=())
        return cst.Comma(whitespace_after=space)
    return cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))


def _as_last(kept: Any, last: Any) -> Any:
    """Return a part with what stood behind the last one; a comment behind it stays."""
    end = {"comma": last.comma}
    if isinstance(kept, cst.Arg):
        end["whitespace_after_arg"] = last.whitespace_after_arg
    space = kept.comma.whitespace_after if isinstance(kept.comma, cst.Comma) else None
    if not isinstance(space, cst.ParenthesizedWhitespace) or space.first_line.comment is None:
        return kept.with_changes(**end)
    behind = (
        last.comma.whitespace_after if isinstance(last.comma, cst.Comma) else end.get("whitespace_after_arg")
    )
    if not isinstance(behind, cst.ParenthesizedWhitespace):
        return kept
    return kept.with_changes(
        comma=cst.Comma(whitespace_after=behind.with_changes(first_line=space.first_line))
    )
