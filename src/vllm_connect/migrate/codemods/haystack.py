"""Haystack's components for OpenAI and Azure go to the vLLM server; checked against haystack-ai 3.4.1."""

from __future__ import annotations

from collections.abc import Mapping

import libcst as cst

from vllm_connect.migrate.arguments import keyword_names
from vllm_connect.migrate.entries import Edit, edited_call
from vllm_connect.migrate.finding import Severity
from vllm_connect.migrate.framework import UNSEEN, Connection, Framework
from vllm_connect.migrate.rule import Rule

__all__ = ["Haystack"]

HAYSTACK = Rule(
    "haystack-openai",
    "Haystack's components for OpenAI",
    Severity.BREAKS,
    "prompts go to api.openai.com, or OpenAI's key goes to the vLLM server",
    "Give api_base_url and api_key; checked against haystack-ai 3.4.1.",
)

# A Secret of a text cannot be saved with a pipeline, one of a variable can; the variable has to be set.
KEY = cst.parse_expression('Secret.from_env_var("VLLM_API_KEY")')
KEY_TODO = "Set VLLM_API_KEY too, to EMPTY where your server asks for no key."
GONE = frozenset({"organization"})
OPENAI = Connection(("api_base_url",), ("api_key",), GONE, KEY, KEY_TODO)
AZURE = Connection(
    ("api_base_url",),
    ("api_key",),
    GONE | {"azure_endpoint", "api_version", "azure_ad_token", "azure_ad_token_provider", "default_headers"},
    KEY,
    KEY_TODO,
    is_azure=True,
)
# What each component becomes: where it is, and its name.
COMPONENTS: Mapping[str, tuple[str, str]] = {
    "OpenAIGenerator": ("haystack.components.generators", "OpenAIGenerator"),
    "OpenAIChatGenerator": ("haystack.components.generators.chat", "OpenAIChatGenerator"),
    "OpenAITextEmbedder": ("haystack.components.embedders", "OpenAITextEmbedder"),
    "OpenAIDocumentEmbedder": ("haystack.components.embedders", "OpenAIDocumentEmbedder"),
    "AzureOpenAIGenerator": ("haystack.components.generators", "OpenAIGenerator"),
    "AzureOpenAIChatGenerator": ("haystack.components.generators.chat", "OpenAIChatGenerator"),
    "AzureOpenAITextEmbedder": ("haystack.components.embedders", "OpenAITextEmbedder"),
    "AzureOpenAIDocumentEmbedder": ("haystack.components.embedders", "OpenAIDocumentEmbedder"),
}
MODULES = (
    "",
    ".openai",
    ".azure",
    ".openai_text_embedder",
    ".openai_document_embedder",
    ".azure_text_embedder",
)
OWN = {
    f"{module}{part}.{name}": name
    for name, (module, _) in COMPONENTS.items()
    for part in (*MODULES, ".azure_document_embedder")
}
SECRET = frozenset({"haystack.utils.Secret", "haystack.utils.auth.Secret"})


class Haystack(Framework):
    """`OpenAIChatGenerator` and its siblings, and Azure's, go to the vLLM server."""

    rules = (HAYSTACK,)
    words = ("haystack",)
    classes = frozenset(OWN)
    moves = {trail: COMPONENTS[name] for trail, name in OWN.items() if name.startswith("Azure")}  # noqa: RUF012

    def look(self, call: cst.Call) -> None:
        for trail in self.trails(call.func) & self.moves.keys():
            if not self._is_seen(call, AZURE):
                self.kept.add(OWN[trail])

    def _is_seen(self, call: cst.Call, way: Connection) -> bool:
        by_name = all(one.keyword is not None for one in call.args)
        return by_name and self.can_be_directed(call, way) and self.is_free(call, "Secret", *SECRET)

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        trails = self.trails(original_node.func)
        if not trails or not trails <= OWN.keys():
            return updated_node
        name = OWN[next(iter(trails))]
        way = AZURE if name.startswith("Azure") else OPENAI
        if not self._is_seen(original_node, way) or (way.is_azure and name in self.kept):
            self.left(original_node, HAYSTACK, UNSEEN)
            return updated_node
        named = self._with_model(original_node, updated_node) if way.is_azure else updated_node
        changed = self.directed(original_node, named, HAYSTACK, way)
        if changed is None:
            return updated_node
        self.names_a_model(original_node, "model", "azure_deployment")
        if changed is not named and "Secret.from_env_var" in cst.Module([]).code_for_node(changed):
            self.add_import("haystack.utils", "Secret")
        return changed

    def _with_model(self, call: cst.Call, changed: cst.Call) -> cst.Call:
        has_model = "model" in keyword_names(call)
        return (
            edited_call(changed, {"azure_deployment": Edit() if has_model else Edit("model")})
            if "azure_deployment" in keyword_names(call)
            else changed
        )
