"""DSPy's models go to the vLLM server by litellm's names; checked against dspy 3.4.1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import libcst as cst

from vllm_connect.migrate.codemod import Sheet
from vllm_connect.migrate.codemods.litellm import CHAT, is_of_openai, named
from vllm_connect.migrate.finding import Severity
from vllm_connect.migrate.framework import Connection, Framework, positional
from vllm_connect.migrate.rule import Rule
from vllm_connect.migrate.trails import text_of

__all__ = ["DSPy"]

DSPY = Rule(
    "dspy-model",
    "A model of OpenAI's in DSPy",
    Severity.BREAKS,
    "DSPy sends the prompt to OpenAI or Azure",
    'Write dspy.LM("hosted_vllm/NAME", api_base=..., api_key=...); checked against dspy 3.4.1.',
)

WAY = Connection(
    ("api_base", "base_url"), ("api_key",), frozenset({"api_version", "organization", "project"})
)
MAKERS = frozenset(
    {"dspy.LM", "dspy.clients.LM", "dspy.clients.lm.LM", "dspy.Embedder", "dspy.clients.Embedder"}
)
# Clients of before 2.5.
OLD: Mapping[str, str] = {
    "dspy.OpenAI": "dspy.LM",
    "dspy.AzureOpenAI": "dspy.LM",
    "dspy.HFClientVLLM": "dspy.LM",
}


class DSPy(Framework):
    """`dspy.LM("openai/...")` -> `dspy.LM("hosted_vllm/...", api_base=...)`."""

    rules = (DSPY,)
    words = ("dspy",)
    classes = MAKERS

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(sheet)
        self._is_renamed: dict[cst.Call, bool] = {}

    def models(self, call: cst.Call) -> Sequence[cst.BaseExpression]:
        trails = self.trails(call.func)
        node = positional(call, 0, "model") if trails and trails <= MAKERS else None
        return () if node is None else (node,)

    def look(self, call: cst.Call) -> None:
        for node in self.models(call):
            self._look_at(call, node)

    def _look_at(self, call: cst.Call, node: cst.BaseExpression) -> None:
        texts = [text_of(one) or "" for one in self.values(node)]
        self.names_served_model(node, f"{CHAT}/")
        if any(text.startswith("openai/") for text in texts) and self.goes_elsewhere(call, WAY):
            self._is_renamed[call] = True  # a server of its own by the name that litellm has for any such
        elif any(map(is_of_openai, texts)):
            self._is_renamed[call] = self.can_be_directed(call, WAY) and self.renamed_model(
                node, lambda text: named(text, self.options.models)
            )

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        trails = self.trails(original_node.func)
        if trails and trails <= OLD.keys():
            self.left(original_node, DSPY, "a client of DSPy's first releases, which today's do not have")
        is_renamed = self._is_renamed.get(original_node)
        if is_renamed is None:
            return updated_node
        if not is_renamed:
            self.left(
                original_node,
                DSPY,
                "its arguments are not to be seen here, or its model is named for others too",
            )
            return updated_node
        changed = self.directed(original_node, updated_node, DSPY, WAY)
        return updated_node if changed is None else changed
