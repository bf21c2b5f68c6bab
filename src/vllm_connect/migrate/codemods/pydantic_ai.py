"""pydantic-ai's models go to the vLLM server by its provider for vLLM; checked against pydantic-ai 2.68.0."""

from __future__ import annotations

from collections.abc import Sequence

import libcst as cst

from vllm_connect.migrate.arguments import added, keyword, rewritten, takes_more
from vllm_connect.migrate.codemod import Sheet
from vllm_connect.migrate.finding import Severity
from vllm_connect.migrate.framework import OPENAI_MODEL, UNSEEN, Connection, Framework, positional
from vllm_connect.migrate.rule import Rule
from vllm_connect.migrate.trails import text_of

__all__ = ["PydanticAI"]

PYDANTIC = Rule(
    "pydantic-ai-model",
    "A model of OpenAI's in pydantic-ai",
    Severity.BREAKS,
    "prompts go to api.openai.com or to Azure",
    'Write "vllm:NAME", or give provider="vllm": it reads VLLM_BASE_URL and VLLM_API_KEY.',
)
RESPONSES = Rule(
    "pydantic-ai-responses",
    "pydantic-ai's model for the Responses API",
    Severity.CHANGES_OUTPUT,
    "vLLM has no tools of its own there, and keeps nothing for what follows",
    "Use OpenAIChatModel.",
)
TODO = "Set VLLM_BASE_URL to your server, whole: http://HOST:8000/v1."

PREFIXES = ("openai:", "openai-chat:", "openai-responses:", "azure:", "azure-responses:")
# Functions and methods that take a model by its name: where it stands, None for all their places.
NAMING: dict[str, int | None] = {
    "pydantic_ai.Agent": 0,
    "pydantic_ai.agent.Agent": 0,
    "pydantic_ai.models.infer_model": 0,
    "pydantic_ai.direct.model_request": 0,
    "pydantic_ai.direct.model_request_sync": 0,
    "pydantic_ai.direct.model_request_stream": 0,
    "pydantic_ai.Embedder": 0,
    "pydantic_ai.embeddings.Embedder": 0,
    "pydantic_ai.embeddings.infer_embedding_model": 0,
    "pydantic_ai.models.fallback.FallbackModel": None,
}
METHODS = ("run", "run_sync", "run_stream", "iter", "override")
MODELS = frozenset(
    {
        "pydantic_ai.models.openai.OpenAIModel",
        "pydantic_ai.models.openai.OpenAIChatModel",
        "pydantic_ai.models.openai.OpenAIResponsesModel",
        "pydantic_ai.embeddings.openai.OpenAIEmbeddingModel",
    }
)
PROVIDERS = frozenset({"pydantic_ai.providers.openai.OpenAIProvider"})
AZURE_PROVIDERS = frozenset({"pydantic_ai.providers.azure.AzureProvider"})
WAY = Connection(("base_url",))
AZURE = Connection(("base_url",), gone=frozenset({"azure_endpoint", "api_version"}), is_azure=True)
VLLM = ("pydantic_ai.providers.vllm", "VLLMProvider")


class PydanticAI(Framework):
    """`"openai:..."` -> `"vllm:..."`, and the providers of OpenAI's models."""

    rules = (PYDANTIC, RESPONSES)
    words = ("pydantic_ai",)
    classes = MODELS | PROVIDERS | AZURE_PROVIDERS
    moves = {  # noqa: RUF012 - a ClassVar of the base
        "pydantic_ai.models.openai.OpenAIModel": ("pydantic_ai.models.openai", "OpenAIChatModel"),
        **dict.fromkeys(PROVIDERS | AZURE_PROVIDERS, VLLM),
    }

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(sheet)
        self._unseen: set[cst.Call] = set()

    def look(self, call: cst.Call) -> None:
        trails = self.trails(call.func)
        if trails & (PROVIDERS | AZURE_PROVIDERS) and not self._can_move(call, trails):
            self.kept |= {one.rpartition(".")[2] for one in trails}
        if trails and trails <= MODELS:
            self.named_by_place(call)
        for node in self.models(call):
            texts = [text_of(one) or "" for one in self.values(node)]
            self.names_served_model(node, "vllm:")
            if not any(self._new_name(text) for text in texts):
                continue
            if self.renamed_model(node, self._new_name):
                self.fixed(node, PYDANTIC, "the model is asked by the provider for vLLM", TODO)
            else:
                self._unseen.add(call)

    def models(self, call: cst.Call) -> Sequence[cst.BaseExpression]:
        trails = self.trails(call.func)
        if trails and trails <= NAMING.keys():
            places = {NAMING[one] for one in trails}
            if places == {None}:
                return [one.value for one in call.args if one.keyword is None]
            node = positional(call, 0, "model")
            return [] if node is None else [node]
        is_method = trails and all(
            one
            in {
                f"{agent}().{method}"
                for agent in ("pydantic_ai.Agent", "pydantic_ai.agent.Agent")
                for method in METHODS
            }
            for one in trails
        )
        given = keyword(call, "model") if is_method else None
        return [] if given is None else [given.value]

    def _new_name(self, text: str) -> str | None:
        for prefix in PREFIXES:
            if text.startswith(prefix):
                return f"vllm:{self.served(text.removeprefix(prefix))}"
        is_bare = OPENAI_MODEL.match(text) is not None and ":" not in text
        return f"vllm:{self.served(text)}" if is_bare else None

    def _can_move(self, call: cst.Call, trails: frozenset[str]) -> bool:
        """Whether a provider of OpenAI's is to become vLLM's: it names no server that is neither's."""
        is_azure = bool(trails & AZURE_PROVIDERS)
        if takes_more(call) or any(one.keyword is None for one in call.args):
            return False
        if keyword(call, "openai_client") is not None:
            return not is_azure
        return self.can_be_directed(call, AZURE if is_azure else WAY) and (
            is_azure or self._is_of_openai(call, WAY)
        )

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        trails = self.trails(original_node.func)
        if original_node in self._unseen:
            self.left(
                original_node,
                PYDANTIC,
                "which model this asks is not to be seen, or it is named for others too",
            )
        if trails and trails <= PROVIDERS:
            return self._provider(original_node, updated_node, WAY)
        if trails and trails <= AZURE_PROVIDERS:
            return self._provider(original_node, updated_node, AZURE)
        if trails and trails <= MODELS:
            return self._model(original_node, updated_node)
        return updated_node

    def _provider(self, call: cst.Call, updated: cst.Call, way: Connection) -> cst.Call:
        if keyword(call, "openai_client") is not None:
            return updated  # it goes where its client goes, which is rewritten itself
        if way.is_azure and "AzureProvider" in self.kept:
            self.left(call, PYDANTIC, UNSEEN)
            return updated
        changed = self.directed(call, updated, PYDANTIC, way)
        return updated if changed is None else changed

    def _model(self, call: cst.Call, updated: cst.Call) -> cst.Call:
        if self.trails(call.func) == {"pydantic_ai.models.openai.OpenAIResponsesModel"}:
            self.left(call, RESPONSES)
        given = keyword(call, "provider")
        if given is None and takes_more(call):
            self.left(call, PYDANTIC, UNSEEN)
            return updated
        if given is not None and text_of(given.value) not in (
            "openai",
            "openai-chat",
            "openai-responses",
            "azure",
        ):
            return updated
        self.fixed(call, PYDANTIC, "the model is asked by the provider for vLLM", TODO)
        vllm = cst.SimpleString('"vllm"')
        if given is None:
            return added(updated, "provider", vllm)
        return rewritten(updated, "provider", lambda arg: arg.with_changes(value=vllm))
