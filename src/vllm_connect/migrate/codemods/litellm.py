"""litellm's names of models, which say whom a request goes to; checked against litellm 1.110.2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import libcst as cst

from vllm_connect.migrate.arguments import keyword
from vllm_connect.migrate.codemod import Sheet
from vllm_connect.migrate.entries import dict_entries, text_node
from vllm_connect.migrate.exports import dotted_name
from vllm_connect.migrate.finding import Severity
from vllm_connect.migrate.framework import (
    ADDRESS,
    KEY,
    OPENAI_MODEL,
    TODO,
    UNSERVED,
    Connection,
    Framework,
    copied,
    positional,
)
from vllm_connect.migrate.rule import Rule
from vllm_connect.migrate.trails import text_of

__all__ = ["CHAT", "TEXT", "LiteLLM", "is_of_openai", "named"]

LITELLM = Rule(
    "litellm-model",
    "A model of OpenAI's by litellm",
    Severity.BREAKS,
    "litellm sends the prompt to OpenAI or Azure",
    'Write "hosted_vllm/NAME", and give api_base and api_key; checked against litellm 1.110.2.',
)
NO_ADDRESS = Rule(
    "litellm-no-address",
    "hosted_vllm without an address",
    Severity.BREAKS,
    "where HOSTED_VLLM_API_BASE is not set, litellm sends the prompt to api.openai.com",
    'Give api_base=os.environ["VLLM_BASE_URL"].',
)
GLOBAL = Rule(
    "litellm-global",
    "An address or a key for all that litellm asks",
    Severity.BREAKS,
    "the vLLM server gets the key, or the requests go to OpenAI",
    "Take it out, and give api_base and api_key to each call.",
)

CHAT, TEXT = "hosted_vllm", "text-completion-openai"
PREFIXES = ("openai/", "azure/", "azure_text/", "text-completion-openai/", "openai/responses/")


class Target(NamedTuple):
    """A function that sends a request: where its model stands, and what its provider is called then."""

    place: int
    provider: str = CHAT


# litellm knows the completions of vLLM by the name of OpenAI's alone.
TARGETS: Mapping[str, Target] = {
    f"{module}.{name}": target
    for name, target in {
        "completion": Target(0),
        "acompletion": Target(0),
        "completion_with_retries": Target(0),
        "embedding": Target(0),
        "aembedding": Target(0),
        "text_completion": Target(1, TEXT),
        "atext_completion": Target(1, TEXT),
    }.items()
    for module in ("litellm", "litellm.main")
}
WAY = Connection(
    ("api_base", "base_url"), ("api_key",), frozenset({"api_version", "organization", "azure_ad_token"})
)
ROUTERS = frozenset({"litellm.Router", "litellm.router.Router"})
GLOBALS = frozenset({"litellm.api_base", "litellm.api_key", "litellm.openai_key", "litellm.azure_key"})
# What other requests of litellm's go to.
OTHERS = frozenset(
    {"litellm.responses", "litellm.aresponses", "litellm.image_generation", "litellm.moderation"}
)


def is_of_openai(text: str) -> bool:
    """Whether litellm sends a model of this name to OpenAI or Azure."""
    return text.startswith(PREFIXES) or ("/" not in text and OPENAI_MODEL.match(text) is not None)


def named(text: str, served: Mapping[str, str], provider: str = CHAT) -> str | None:
    """Return the name by which litellm sends a request to vLLM, None for a model that is not OpenAI's."""
    if not is_of_openai(text):
        return None
    if text.startswith(("text-completion-openai/", "azure_text/")):
        provider = TEXT
    name = next((text.removeprefix(one) for one in PREFIXES if text.startswith(one)), text)
    return f"{provider}/{served.get(name, name)}"


class LiteLLM(Framework):
    """`gpt-4o`, `openai/...` and `azure/...` -> `hosted_vllm/...` with the address of the server."""

    rules = (LITELLM, NO_ADDRESS, GLOBAL, UNSERVED)
    words = ("litellm",)

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(sheet)
        # The calls whose model is OpenAI's: whether it is rewritten.
        self._is_renamed: dict[cst.Call, bool] = {}
        self._parameters: set[cst.Dict] = set()

    def target(self, call: cst.Call) -> Target | None:
        """Return what a call asks, None where it asks litellm nothing."""
        found = {TARGETS.get(one) for one in self.trails(call.func)}
        return next(iter(found)) if len(found) == 1 else None

    def models(self, call: cst.Call) -> Sequence[cst.BaseExpression]:
        target = self.target(call)
        node = None if target is None else positional(call, target.place, "model")
        return () if node is None else (node,)

    def look(self, call: cst.Call) -> None:
        trails = self.trails(call.func)
        if trails and trails <= ROUTERS:
            self._router(call)
        target = self.target(call)
        if target is not None:
            for node in self.models(call):
                self._look_at(call, target, node)

    def _look_at(self, call: cst.Call, target: Target, node: cst.BaseExpression) -> None:
        provider = target.provider
        texts = [text_of(one) or _begin(one) for one in self.values(node)]
        self.names_served_model(node, f"{CHAT}/", f"{TEXT}/")
        if any(text.startswith("openai/") for text in texts) and self.goes_elsewhere(call, WAY):
            self._is_renamed[call] = True  # a server of its own by the name that litellm has for any such
        elif not texts or any(is_of_openai(text) for text in texts if text):
            self._is_renamed[call] = self.can_be_directed(call, WAY) and self.renamed_model(
                node, lambda text: named(text, self.options.models, provider)
            )

    def _router(self, call: cst.Call) -> None:
        listed = positional(call, 0, "model_list")
        found = _Parameters()
        for value in () if listed is None else self.values(listed):
            value.visit(found)
        self._parameters |= found.dicts
        for one in found.dicts:
            model = dict_entries(one).get("model")
            if model is not None and is_of_openai(text_of(model) or ""):
                self.renamed_model(model, lambda text: named(text, self.options.models))

    def visit_Assign(self, node: cst.Assign) -> None:
        for one in node.targets:
            if isinstance(one.target, cst.Attribute) and self.trails(one.target) & GLOBALS:
                self.left(node, GLOBAL, f"`{dotted_name(one.target)}` holds for every call: {GLOBAL.why}")

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        is_renamed = self._is_renamed.get(original_node)
        if is_renamed is None:
            self._others(original_node)
            return updated_node
        if not is_renamed:
            if not self._is_told(original_node):
                self.left(
                    original_node,
                    LITELLM,
                    "which model this asks is not to be seen, or it is named for others too",
                )
            return updated_node
        changed = self.directed(original_node, updated_node, LITELLM, WAY)
        return updated_node if changed is None else changed

    def _is_told(self, call: cst.Call) -> bool:
        """Whether a call whose model is not to be seen is told its server nevertheless."""
        return keyword(call, "api_base") is not None or keyword(call, "base_url") is not None

    def _others(self, call: cst.Call) -> None:
        trails = self.trails(call.func)
        if trails & OTHERS:
            self.left(call, LITELLM, "litellm sends this to OpenAI, and has no such request for vLLM")
        texts = [text_of(one) or _begin(one) for node in self.models(call) for one in self.values(node)]
        if any(text.startswith(f"{CHAT}/") for text in texts) and not self._is_told(call):
            self.left(call, NO_ADDRESS)

    def leave_Dict(self, original_node: cst.Dict, updated_node: cst.Dict) -> cst.Dict:
        """The parameters of a router's model."""
        entries = dict_entries(original_node)
        if original_node not in self._parameters or not is_of_openai(text_of(entries.get("model")) or ""):
            return updated_node
        kept = [
            one
            for one in updated_node.elements
            if not isinstance(one, cst.DictElement)
            or text_of(one.key) not in ("api_base", "base_url", "api_key", "api_version", "organization")
        ]
        first = next(one for one in updated_node.elements if isinstance(one, cst.DictElement))
        comma = _comma(original_node)
        new = [
            cst.DictElement(text_node("api_base", like=first.key), copied(ADDRESS), comma=comma),
            cst.DictElement(text_node("api_key", like=first.key), copied(KEY)),
        ]
        last = updated_node.elements[-1].comma
        kept = [one.with_changes(comma=comma if one is kept[-1] else one.comma) for one in kept]
        self.add_import("os")
        self.fixed(original_node, LITELLM, "this model of the router goes to the vLLM server", TODO)
        return updated_node.with_changes(elements=[*kept, new[0], new[1].with_changes(comma=last)])


class _Parameters(cst.CSTVisitor):
    """The dicts behind `litellm_params`."""

    def __init__(self) -> None:
        super().__init__()
        self.dicts: set[cst.Dict] = set()

    def visit_DictElement(self, node: cst.DictElement) -> None:
        if text_of(node.key) == "litellm_params" and isinstance(node.value, cst.Dict):
            self.dicts.add(node.value)


def _comma(node: cst.Dict) -> cst.Comma:
    """Return the comma that stands between the entries of a dict."""
    first = node.elements[0].comma
    if len(node.elements) > 1 and isinstance(first, cst.Comma):
        space = first.whitespace_after
        if isinstance(space, cst.ParenthesizedWhitespace):
            return cst.Comma(whitespace_after=space.with_changes(first_line=cst.TrailingWhitespace()))
        return cst.Comma(whitespace_after=space)
    return cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))


def _begin(node: cst.BaseExpression) -> str:
    """Return what a formatted text begins with."""
    match node:
        case cst.FormattedString(parts=[cst.FormattedStringText(value=text), *_]):
            return text
        case _:
            return ""
