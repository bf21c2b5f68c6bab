"""LlamaIndex's classes for OpenAI become those for servers like it.

Checked against llama-index-core 0.14.25, llama-index-llms-openai-like 0.8.1, llama-index-embeddings-openai-like 0.4.0.
"""

from __future__ import annotations

from collections.abc import Mapping

import libcst as cst

from vllm_connect.migrate.arguments import added, keyword, takes_more, without
from vllm_connect.migrate.codemod import Sheet
from vllm_connect.migrate.entries import Edit, edited_call
from vllm_connect.migrate.finding import Severity
from vllm_connect.migrate.framework import UNSEEN, Connection, Framework, positional
from vllm_connect.migrate.rule import Rule
from vllm_connect.migrate.trails import text_of

__all__ = ["LlamaIndex"]

LLAMAINDEX = Rule(
    "llamaindex-openai",
    "LlamaIndex's classes for OpenAI",
    Severity.BREAKS,
    "prompts go to api.openai.com, and the class refuses names of models that are not OpenAI's",
    "Use OpenAILike and OpenAILikeEmbedding (pip install llama-index-llms-openai-like llama-index-embeddings-openai-like).",
)
WINDOW = Rule(
    "llamaindex-context-window",
    "OpenAILike without its context window",
    Severity.CHANGES_OUTPUT,
    "LlamaIndex takes the context to be 3900 tokens, and cuts and splits prompts for that",
    "Give context_window: what `vllm-connect info` shows as the context of your model.",
)
DEFAULT = Rule(
    "llamaindex-default",
    "LlamaIndex's own choice of a model",
    Severity.BREAKS,
    "where neither an argument nor Settings names a model, LlamaIndex takes OpenAI's",
    "Set Settings.llm to an OpenAILike and Settings.embed_model to an OpenAILikeEmbedding.",
)

LLM = "llama_index.llms.openai.OpenAI"
LIKE = "llama_index.llms.openai_like.OpenAILike"
EMBEDDING = "llama_index.embeddings.openai.OpenAIEmbedding"
LLMS = frozenset({LLM, "llama_index.llms.openai.base.OpenAI"})
LIKES = frozenset({LIKE, "llama_index.llms.openai_like.base.OpenAILike"})
EMBEDDINGS = frozenset({EMBEDDING, "llama_index.embeddings.openai.base.OpenAIEmbedding"})
# Classes of before 0.10, and those of Azure, whose arguments are others.
OLD = frozenset({"llama_index.llms.OpenAI", "llama_index.embeddings.OpenAIEmbedding"})
AZURE = frozenset(
    {"llama_index.llms.azure_openai.AzureOpenAI", "llama_index.embeddings.azure_openai.AzureOpenAIEmbedding"}
)
WAY = Connection(("api_base",), ("api_key",), frozenset({"api_version"}))
# What OpenAI's models can do, which LlamaIndex knows of them by their names. Structured answers go by response_format: a
# call of a tool that is forced needs a parser on the server.
CHAT: Mapping[str, str] = {
    "is_chat_model": "True",
    "is_function_calling_model": "True",
    "should_use_structured_outputs": "True",
}
INDEXES = frozenset(
    f"llama_index.core.{name}{call}"
    for name, call in (
        ("VectorStoreIndex", ""),
        ("VectorStoreIndex", ".from_documents"),
        ("VectorStoreIndex", ".from_vector_store"),
        ("SummaryIndex", ".from_documents"),
        ("TreeIndex", ".from_documents"),
        ("KeywordTableIndex", ".from_documents"),
        ("PropertyGraphIndex", ".from_documents"),
        ("load_index_from_storage", ""),
    )
)


class LlamaIndex(Framework):
    """`OpenAI` -> `OpenAILike`, `OpenAIEmbedding` -> `OpenAILikeEmbedding`."""

    rules = (LLAMAINDEX, WINDOW, DEFAULT)
    words = ("llama_index",)
    classes = LLMS | EMBEDDINGS
    moves = {  # noqa: RUF012 - a ClassVar of the base
        **dict.fromkeys(LLMS, ("llama_index.llms.openai_like", "OpenAILike")),
        **dict.fromkeys(EMBEDDINGS, ("llama_index.embeddings.openai_like", "OpenAILikeEmbedding")),
    }

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(sheet)
        self._is_set: set[str] = set()
        self._is_told = False

    def visit_Assign(self, node: cst.Assign) -> None:
        for one in node.targets:
            if isinstance(one.target, cst.Attribute) and self.trails(one.target.value) == {
                "llama_index.core.Settings"
            }:
                self._is_set.add(one.target.attr.value)

    def look(self, call: cst.Call) -> None:
        trails = self.trails(call.func)
        if trails and trails <= LLMS | LIKES:
            self.named_by_place(call)
        if trails & LLMS and not self._is_seen(call, LLMS):
            self.kept.add("OpenAI")
        if trails & EMBEDDINGS and not self._is_seen(call, EMBEDDINGS):
            self.kept.add("OpenAIEmbedding")

    def _is_seen(self, call: cst.Call, classes: frozenset[str]) -> bool:
        by_place = [one for one in call.args if one.keyword is None]
        return (
            self.trails(call.func) <= classes
            and self.can_be_directed(call, WAY)
            and not takes_more(call)
            and (classes is LLMS or not by_place)
        )

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        trails = self.trails(original_node.func)
        if trails & LLMS:
            return self._llm(original_node, updated_node)
        if trails & EMBEDDINGS:
            return self._embedding(original_node, updated_node)
        if (
            trails
            and trails <= LIKES
            and keyword(original_node, "context_window") is None
            and not takes_more(original_node)
        ):
            self.left(original_node, WINDOW)
        elif trails and trails <= OLD | AZURE:
            self.left(original_node, LLAMAINDEX, LLAMAINDEX.why)
        elif trails and trails <= INDEXES:
            self._index(original_node)
        return updated_node

    def _like(self, call: cst.Call, updated: cst.Call, name: str) -> cst.Call | None:
        """Return a call of this class as its OpenAILike has it, None where it is left."""
        if name in self.kept:
            self.left(call, LLAMAINDEX, UNSEEN)
            return None
        changed = self.directed(call, updated, LLAMAINDEX, WAY)
        if changed is updated:
            self.fixed(call, LLAMAINDEX)
        return changed

    def _llm(self, call: cst.Call, updated: cst.Call) -> cst.Call:
        changed = self._like(call, updated, "OpenAI")
        if changed is None:
            return updated
        self.names_a_model(call, "model")
        model = positional(call, 0, "model")
        is_chat = not any(
            "instruct" in (text_of(one) or "") for one in ([] if model is None else self.values(model))
        )
        for name, source in CHAT.items() if is_chat else ():
            if keyword(changed, name) is None:
                changed = added(changed, name, cst.parse_expression(source))
        return changed

    def _embedding(self, call: cst.Call, updated: cst.Call) -> cst.Call:
        changed = self._like(call, updated, "OpenAIEmbedding")
        if changed is None:
            return updated
        if keyword(call, "model") is None and keyword(call, "model_name") is None:
            self.left(
                call,
                LLAMAINDEX,
                "it names no model, and OpenAILikeEmbedding has none of its own",
                "Give model_name.",
            )
        return edited_call(without(changed, ["mode"]), {"model": Edit("model_name")})

    def _index(self, call: cst.Call) -> None:
        """Say once that LlamaIndex takes OpenAI's models where a module, and what it imports, names none."""
        named = {one for one in ("llm", "embed_model") if keyword(call, one) is not None} | self._is_set
        if not {"llm", "embed_model"} <= named and not self._is_told and not self._is_set_elsewhere():
            self._is_told = True
            missing = " and ".join(one for one in ("llm", "embed_model") if one not in named)
            self.left(call, DEFAULT, f"{DEFAULT.why}; {missing} is not set here")

    def _is_set_elsewhere(self) -> bool:
        """Whether another module of the project has to do with Settings."""
        return any(
            "llama_index.core.Settings" in trails
            for file, exports in self.sheet.project.modules.items()
            if file != self.sheet.file
            for trails in exports.values()
        )
