"""The reasoning of an answer by the name that vLLM gives it since 0.16."""

from __future__ import annotations

import re

import libcst as cst

from vllm_connect.migrate.client import endpoint_of
from vllm_connect.migrate.codemod import Codemod, Sheet
from vllm_connect.migrate.entries import text_node
from vllm_connect.migrate.finding import Severity
from vllm_connect.migrate.rule import Rule
from vllm_connect.migrate.trails import text_of

__all__ = ["Reasoning"]

REASONING = Rule(
    "reasoning-content",
    "reasoning_content of an answer",
    Severity.SILENTLY_IGNORED,
    "vLLM calls it reasoning: the old name is not there, or None",
    "Read reasoning in its place; vllm_connect gives it this name whatever the release.",
    "since 0.16",
)

OLD, NEW = "reasoning_content", "reasoning"
# A message, or a piece of one, of the answer to a chat: behind the call, its elements where it streams.
MESSAGE = re.compile(r"(?P<call>.+?)\(\)(?:\[\])?\.choices\[\]\.(?:message|delta)")
NEW_TOO = re.compile(rf"\b{NEW}\b")


class Reasoning(Codemod):
    """`message.reasoning_content` -> `message.reasoning`, and `getattr` and `hasattr` of it."""

    rules = (REASONING,)
    words = (OLD,)

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(sheet)
        self._read_by_both_names = 0

    def visit_BooleanOperation(self, node: cst.BooleanOperation) -> None:
        """Pass over code that asks for both names already."""
        self._read_by_both_names += self._has_both(node)

    def leave_BooleanOperation(
        self, original_node: cst.BooleanOperation, updated_node: cst.BooleanOperation
    ) -> cst.BooleanOperation:
        self._read_by_both_names -= self._has_both(original_node)
        return updated_node

    visit_IfExp = visit_BooleanOperation  # noqa: N815
    leave_IfExp = leave_BooleanOperation  # noqa: N815

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.Attribute:
        if original_node.attr.value == OLD and self._is_rewritten(original_node, original_node.value):
            return updated_node.with_changes(attr=cst.Name(NEW))
        return updated_node

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        match original_node.args:
            case [cst.Arg(value=holder), cst.Arg(value=name), *_] if text_of(name) == OLD:
                is_asked = self.trails(original_node.func) <= {"builtins.getattr", "builtins.hasattr"}
                if is_asked and self._is_rewritten(name, holder):
                    first, second, *rest = updated_node.args
                    new = second.with_changes(value=text_node(NEW, like=name))
                    return updated_node.with_changes(args=[first, new, *rest])
        return updated_node

    def visit_Subscript(self, node: cst.Subscript) -> None:
        """Report what reads it from a dict: whether that is an answer is not to be seen."""
        match node.slice:
            case [cst.SubscriptElement(slice=cst.Index(value=name))] if text_of(name) == OLD:
                if not self._read_by_both_names:
                    self.left(node, REASONING)

    def _is_rewritten(self, node: cst.CSTNode, holder: cst.BaseExpression) -> bool:
        if self._read_by_both_names:
            return False
        trails = self.trails(holder)
        if trails and all(map(_is_message, trails)):
            self.fixed(node, REASONING)
            return True
        self.left(node, REASONING, f"{REASONING.why}; where this comes from is not to be seen")
        return False

    def _has_both(self, node: cst.CSTNode) -> bool:
        code = self.sheet.module.code_for_node(node)
        return OLD in code and NEW_TOO.search(code) is not None


def _is_message(trail: str) -> bool:
    found = MESSAGE.fullmatch(trail)
    endpoint = endpoint_of(found["call"]) if found else None
    return endpoint is not None and endpoint.kind == "chat"
