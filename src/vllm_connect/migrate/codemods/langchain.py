"""LangChain's classes for OpenAI and Azure go to the vLLM server; checked against langchain-openai 1.7.4, langchain 1.5.2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import libcst as cst

from vllm_connect.migrate.arguments import added, keyword, keyword_names, takes_more
from vllm_connect.migrate.entries import Edit, edited_call
from vllm_connect.migrate.finding import Severity
from vllm_connect.migrate.framework import (
    ADDRESS,
    KEY,
    OPENAI_MODEL,
    TODO,
    UNSEEN,
    Connection,
    Framework,
    copied,
    is_name,
    positional,
)
from vllm_connect.migrate.rule import Rule
from vllm_connect.migrate.trails import text_of

__all__ = ["LangChain"]

LANGCHAIN = Rule(
    "langchain-openai",
    "LangChain's classes for OpenAI",
    Severity.BREAKS,
    "prompts go to api.openai.com, or OpenAI's key goes to the vLLM server",
    "Give base_url and api_key; checked against langchain-openai 1.7.4.",
)
TOKENS = Rule(
    "langchain-embedding-tokens",
    "Embeddings of OpenAI's tokens",
    Severity.CHANGES_OUTPUT,
    "OpenAIEmbeddings sends the token ids of OpenAI's tokenizer, which are other words to another model",
    "Give check_embedding_ctx_length=False, which sends text.",
)

GONE = frozenset({"organization", "openai_organization"})
OPENAI = Connection(("base_url", "openai_api_base"), ("api_key", "openai_api_key"), GONE)
AZURE = Connection(
    ("base_url", "openai_api_base"),
    ("api_key", "openai_api_key"),
    GONE
    | {
        "azure_endpoint",
        "api_version",
        "openai_api_version",
        "openai_api_type",
        "azure_ad_token",
        "azure_ad_token_provider",
        "azure_ad_async_token_provider",
        "model_version",
    },
    is_azure=True,
)
# Each class, and what makes of it what it was: LangChain leaves out the usage of streams where a base_url is given, and
# counts embeddings in OpenAI's tokens.
EXTRAS: Mapping[str, Mapping[str, str]] = {
    "ChatOpenAI": {"stream_usage": "True"},
    "OpenAI": {},
    "OpenAIEmbeddings": {},
    "AzureChatOpenAI": {"stream_usage": "True"},
    "AzureOpenAI": {},
    "AzureOpenAIEmbeddings": {},
}
MODULES = (
    "langchain_openai",
    "langchain_openai.chat_models",
    "langchain_openai.embeddings",
    "langchain_openai.llms",
)
OWN = frozenset(
    {f"{module}{part}.{name}" for module in MODULES for part in ("", ".base", ".azure") for name in EXTRAS}
)
# Classes from before langchain-openai was a package of its own.
OLD = frozenset(
    f"{package}.{module}.{name}"
    for package in ("langchain", "langchain_community")
    for module in (
        *("chat_models", "chat_models.openai", "chat_models.azure_openai", "llms", "llms.openai"),
        *("embeddings", "embeddings.openai", "embeddings.azure_openai"),
    )
    for name in EXTRAS
) | {"langchain.OpenAI"}
DEPLOYMENTS = ("azure_deployment", "deployment_name", "deployment")
MODELS = ("model", "model_name")
# Functions that make a model of its name, and those that do so within.
MAKERS = frozenset(
    {
        "langchain.chat_models.init_chat_model",
        "langchain.chat_models.base.init_chat_model",
        "langchain.embeddings.init_embeddings",
        "langchain.embeddings.base.init_embeddings",
    }
)
AGENTS = frozenset(
    {
        "langchain.agents.create_agent",
        "langchain.agents.factory.create_agent",
        "langgraph.prebuilt.create_react_agent",
        "langgraph.prebuilt.chat_agent_executor.create_react_agent",
    }
)
PREFIXES = ("openai:", "azure_openai:")


class LangChain(Framework):
    """`ChatOpenAI` and its siblings, and models by their names, go to the vLLM server."""

    rules = (LANGCHAIN, TOKENS)
    words = ("langchain", "langgraph")
    classes = OWN
    moves = {
        f"{module}{part}.{name}": (module, name.removeprefix("Azure"))
        for module in MODULES
        for part in ("",)
        for name in EXTRAS
        if name.startswith("Azure")
    } | {
        f"{module}.azure.{name}": (f"{module}.base", name.removeprefix("Azure"))
        for module in MODULES[1:]
        for name in EXTRAS
        if name.startswith("Azure")
    }

    def look(self, call: cst.Call) -> None:
        for trail in self.trails(call.func) & OWN:
            if trail in self.moves and not self.can_be_directed(call, AZURE):
                self.kept.add(trail.rpartition(".")[2])
        for node in self.models(call):
            self.names_served_model(node, "openai:")
            if self._provider(call, node) == "openai":
                self.renamed_model(node, self._new_name)

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        trails = self.trails(original_node.func)
        if trails and trails <= OLD:
            self.left(
                original_node,
                LANGCHAIN,
                "a class that LangChain has moved, and that goes to api.openai.com",
                "Import it from langchain_openai, and run vllm-connect migrate again.",
            )
        elif trails and trails <= OWN:
            return self._class(original_node, updated_node, next(iter(trails)).rpartition(".")[2])
        elif trails and trails <= MAKERS:
            return self._made(original_node, updated_node, trails)
        elif trails and trails <= AGENTS:
            return self._agent(original_node, updated_node)
        return updated_node

    # -- classes

    def _class(self, call: cst.Call, updated: cst.Call, name: str) -> cst.Call:
        if name in self.kept and name.startswith("Azure"):
            self.left(
                call, LANGCHAIN, UNSEEN, "Write its arguments out, or make it a class of OpenAI's yourself."
            )
            return updated
        way = AZURE if name.startswith("Azure") else OPENAI
        changed = self.directed(
            call, self._with_model(call, updated) if way.is_azure else updated, LANGCHAIN, way, EXTRAS[name]
        )
        if changed is None:
            return updated
        self.names_a_model(call, *MODELS, *DEPLOYMENTS)
        return self._texts_sent(call, changed) if name.endswith("Embeddings") else changed

    def _with_model(self, call: cst.Call, changed: cst.Call) -> cst.Call:
        """Return a call of Azure's that names its deployment as model, where it named no model."""
        names = keyword_names(call)
        has_model = any(name in names for name in MODELS)
        given = [name for name in DEPLOYMENTS if name in names]
        edits = {name: Edit() if has_model or at else Edit("model") for at, name in enumerate(given)}
        return edited_call(changed, edits) if edits else changed

    def _texts_sent(self, call: cst.Call, changed: cst.Call) -> cst.Call:
        given = keyword(call, "check_embedding_ctx_length")
        if given is None and not takes_more(call):
            self.fixed(call, TOKENS)
            return added(changed, "check_embedding_ctx_length", cst.Name("False"))
        if given is not None and not is_name(given.value, "False"):
            self.left(given, TOKENS)
        return changed

    # -- names of models

    def models(self, call: cst.Call) -> Sequence[cst.BaseExpression]:
        trails = self.trails(call.func)
        node = positional(call, 0, "model") if trails and (trails <= MAKERS or trails <= AGENTS) else None
        return () if node is None else (node,)

    def _provider(self, call: cst.Call, node: cst.BaseExpression) -> str:
        """Return `openai` where a model is OpenAI's by its name or by its provider, `other`, or `?`."""
        given = keyword(call, "model_provider") or keyword(call, "provider")
        if given is not None:
            text = text_of(given.value)
            return "?" if text is None else "openai" if text in ("openai", "azure_openai") else "other"
        texts = [text_of(value) for value in self.values(node)]
        if not texts or None in texts:
            return "?"
        is_openai = [
            text.startswith(PREFIXES) or OPENAI_MODEL.match(text) is not None for text in texts if text
        ]
        return "openai" if all(is_openai) and is_openai else "?" if any(is_openai) else "other"

    def _new_name(self, text: str) -> str | None:
        prefix, colon, name = text.rpartition(":") if text.startswith(PREFIXES) else ("", "", text)
        new = f"openai{colon}{self.served(name)}" if prefix else self.served(name)
        return None if new == text else new

    def _made(self, call: cst.Call, updated: cst.Call, trails: frozenset[str]) -> cst.Call:
        node = positional(call, 0, "model")
        if node is None:
            return updated
        provider = self._provider(call, node)
        if provider == "other" or (provider == "?" and keyword(call, "base_url") is not None):
            return updated
        if provider == "?":
            self.left(call, LANGCHAIN, "which model this makes is not to be seen", _todo())
            return updated
        is_chat = not next(iter(trails)).endswith("embeddings")
        way = AZURE if self._is_azure(call, node) else OPENAI
        named = edited_call(updated, dict.fromkeys(DEPLOYMENTS, Edit())) if way.is_azure else updated
        changed = self.directed(call, named, LANGCHAIN, way, {"stream_usage": "True"} if is_chat else {})
        if changed is None:
            return updated
        if not is_chat:
            changed = self._texts_sent(call, changed)
        return self._with_provider(call, node, changed, is_chat=is_chat)

    def _is_azure(self, call: cst.Call, node: cst.BaseExpression) -> bool:
        given = keyword(call, "model_provider")
        texts = [text_of(one) or "" for one in ([given.value] if given else self.values(node))]
        return any(text.startswith("azure_openai") for text in texts)

    def _with_provider(
        self, call: cst.Call, node: cst.BaseExpression, changed: cst.Call, *, is_chat: bool
    ) -> cst.Call:
        """Return a call that names its provider: the name of a served model tells LangChain none."""
        name = "model_provider" if is_chat else "provider"
        given = keyword(call, name)
        if given is not None:
            is_azure = text_of(given.value) == "azure_openai"
            return (
                edited_call(changed, {name: Edit(name, lambda _: _text("openai"))}) if is_azure else changed
            )
        if all((text_of(value) or "").startswith(PREFIXES) for value in self.values(node)):
            return changed
        return added(changed, name, _text("openai"))

    def _agent(self, call: cst.Call, updated: cst.Call) -> cst.Call:
        """An agent that is told a model's name is given a model."""
        node = positional(call, 0, "model")
        if node is None or self._provider(call, node) != "openai":
            return updated
        if not isinstance(node, cst.SimpleString) or not self.is_free(call, "os", "os"):
            self.left(call, LANGCHAIN, "", _todo())
            return updated
        text = text_of(node) or ""
        new = self._new_name(text) or text
        model = new if new.startswith("openai:") else f"openai:{new}"
        made = cst.Call(cst.Name("init_chat_model"), [cst.Arg(_text(model))])
        for name, value in (("base_url", ADDRESS), ("api_key", KEY), ("stream_usage", cst.Name("True"))):
            made = added(made, name, copied(value))
        self.add_import("os")
        self.add_import("langchain.chat_models", "init_chat_model")
        self.fixed(call, LANGCHAIN, "the agent is given a model that goes to the vLLM server", TODO)
        at = next(place for place, arg in enumerate(call.args) if arg.value is node)
        args = [
            one.with_changes(value=made) if place == at else one for place, one in enumerate(updated.args)
        ]
        return updated.with_changes(args=args)


def _text(text: str) -> cst.SimpleString:
    return cst.SimpleString(f'"{text}"')


def _todo() -> str:
    return 'Make it by init_chat_model(NAME, model_provider="openai", base_url=..., api_key=...).'
