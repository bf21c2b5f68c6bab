"""Names of OpenAI's models as they stand in the code: served names by the map that was given, or reported."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

import libcst as cst

from vllm_connect.migrate.codemod import Codemod, Sheet
from vllm_connect.migrate.exports import dotted_name
from vllm_connect.migrate.finding import Severity
from vllm_connect.migrate.model_names import NAMES, SHORT_NAMES
from vllm_connect.migrate.rule import Rule
from vllm_connect.migrate.trails import text_of

__all__ = ["Models"]

MODEL = Rule(
    "model-literal",
    "The name of a model of OpenAI's",
    Severity.BREAKS,
    "vLLM answers 404 for a model that it does not serve by this name",
    "Give --model-map OLD=NEW,..., or have the server answer to the name: --served-model-name.",
)

# What names of models are told by in comparisons.
BEGINNINGS = re.compile(
    r"gpt-?|gpt-?\d[\w.-]*-?|chatgpt-?|o[1-9]-?|text-embedding-?|text-davinci-?|turbo|davinci|ft:gpt-?"
)
# Names of arguments, variables, fields and options that hold the name of a model.
HOLDERS = re.compile(r"model|engine|deployment|(?:^|_)llm(?:_|$)", re.IGNORECASE)
# Methods that look at a text, or take it apart.
COMPARING = frozenset(
    {"startswith", "endswith", "removeprefix", "removesuffix", "split", "replace", "find", "index"}
)
# Whose names for models have forms of their own: other codemods'.
OTHERS = re.compile(r"(?:tiktoken|litellm|dspy|pydantic_ai)\.")
LITERALS = frozenset({"typing.Literal", "typing_extensions.Literal"})
Place = Literal["value", "compared", "key", "nothing"]


class Models(Codemod):
    """Whole literals in arguments, constants, defaults and dicts; no prose."""

    rules = (MODEL,)

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(sheet)
        self._new: dict[cst.CSTNode, str] = {}

    def visit_Module(self, node: cst.Module) -> None:
        look = _Look(self)
        node.visit(look)
        for text in look.texts:
            self._judge(text, look.places.get(text, "value"), is_asked_for=text in look.held)

    def _judge(self, node: cst.SimpleString, place: Place, *, is_asked_for: bool) -> None:
        text = text_of(node)
        models = self.options.models
        if text is None or place == "nothing" or text in models.values():
            return
        is_name = NAMES.fullmatch(text) is not None
        if place == "compared":
            if is_name or (is_asked_for and BEGINNINGS.fullmatch(text)):
                self._left_as_it_is(
                    node, f"`{text}` is looked for in the name of a model: served models have other names"
                )
            return
        if not is_name and not (is_asked_for and (text in models or SHORT_NAMES.fullmatch(text))):
            return
        if place == "key":
            self._left_as_it_is(
                node, f"`{text}` is a key: what is looked up by the name of a served model is not found"
            )
        elif text in models:
            self._new[node] = models[text]
            self.fixed(node, MODEL, f"`{text}` is `{models[text]}` on your server")
        else:
            self.left(
                node,
                MODEL,
                f"`{text}`: {MODEL.why}",
                f"Say which model is to answer for `{text}`: --model-map {text}=NAME, or --served-model-name at the server.",
            )

    def _left_as_it_is(self, node: cst.SimpleString, message: str) -> None:
        self.left(
            node,
            MODEL,
            message,
            "Decide by what you know of your models; client.server.info() tells context and tasks.",
            severity=Severity.CHANGES_OUTPUT,
        )

    def leave_SimpleString(
        self, original_node: cst.SimpleString, updated_node: cst.SimpleString
    ) -> cst.SimpleString:
        new = self._new.get(original_node)
        if new is None:
            return updated_node
        is_plain = not re.search(r"""["'\\{}]""", new)
        quote = original_node.quote
        return updated_node.with_changes(value=f"{quote}{new}{quote}" if is_plain else repr(new))


class _Look(cst.CSTVisitor):
    """All literal texts of a module, where each stands, and whether a model is asked for there."""

    def __init__(self, codemod: Codemod) -> None:
        super().__init__()
        self._trails = codemod.trails
        self._models = codemod.options.models
        self.texts: list[cst.SimpleString] = []
        self.places: dict[cst.CSTNode, Place] = {}
        self.held: set[cst.CSTNode] = set()

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        self.texts.append(node)

    def visit_ConcatenatedString(self, node: cst.ConcatenatedString) -> None:
        self.places.update(dict.fromkeys((node.left, node.right), "nothing"))

    def visit_Expr(self, node: cst.Expr) -> None:
        self.places[node.value] = "nothing"

    # -- what is asked for

    def visit_Arg(self, node: cst.Arg) -> None:
        self._hold("" if node.keyword is None else node.keyword.value, node.value)

    def visit_Param(self, node: cst.Param) -> None:
        self._hold(node.name.value, node.default)

    def visit_Assign(self, node: cst.Assign) -> None:
        for one in node.targets:
            self._hold(_last(one.target), node.value)

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        self._hold(_last(node.target), node.value)
        if node.value is not None and isinstance(node.value, cst.Call):
            # A field: `model: str = Field(default="...")`.
            for one in node.value.args:
                self._hold(_last(node.target), one.value)

    def visit_DictElement(self, node: cst.DictElement) -> None:
        self.places.setdefault(node.key, "key")
        self._hold(text_of(node.key) or "", node.value)

    def _hold(self, name: str, value: cst.CSTNode | None) -> None:
        if value is not None and HOLDERS.search(name):
            self.held.update(_texts(value))

    # -- where it stands

    def visit_Call(self, node: cst.Call) -> None:
        arguments = [text for one in node.args for text in _texts(one.value)]
        if any(map(self._may_be_model, arguments)) and any(map(OTHERS.match, self._trails(node.func))):
            self.places.update(dict.fromkeys(arguments, "nothing"))
        elif isinstance(node.func, cst.Attribute) and node.func.attr.value in COMPARING:
            self.places.update(dict.fromkeys(arguments, "compared"))
            self._hold(_last(node.func.value), None if not node.args else node.args[0].value)
        # A variable or an option of the command line says what its default is: `getenv("MODEL", "...")`.
        if node.args and HOLDERS.search(text_of(node.args[0].value) or ""):
            for one in node.args[1:]:
                self.held.update(_texts(one.value))

    def visit_Comparison(self, node: cst.Comparison) -> None:
        sides = [node.left, *(one.comparator for one in node.comparisons)]
        texts = [text for one in sides for text in _texts(one)]
        self.places.update(dict.fromkeys(texts, "compared"))
        if any(HOLDERS.search(_last(one)) for one in sides):
            self.held.update(texts)

    def visit_MatchValue(self, node: cst.MatchValue) -> None:
        self.places[node.value] = "compared"

    def visit_Subscript(self, node: cst.Subscript) -> None:
        for one in node.slice:
            if isinstance(one.slice, cst.Index) and self._may_be_model(one.slice.value):
                trails = self._trails(node.value)
                if not trails or not trails <= LITERALS:
                    self.places[one.slice.value] = "key"

    def _may_be_model(self, node: cst.CSTNode) -> bool:
        text = text_of(node)
        is_name = text is not None and (NAMES.fullmatch(text) or SHORT_NAMES.fullmatch(text))
        return bool(is_name) or text in self._models


def _texts(node: cst.CSTNode) -> Iterator[cst.SimpleString]:
    """Yield the texts that an expression may be, or holds in a list of them."""
    match node:
        case cst.SimpleString():
            yield node
        case cst.List(elements=elements) | cst.Tuple(elements=elements) | cst.Set(elements=elements):
            for one in elements:
                yield from _texts(one.value)
        case cst.IfExp(body=one, orelse=other):
            yield from _texts(one)
            yield from _texts(other)
        case cst.BooleanOperation(left=one, right=other):
            yield from _texts(one)
            yield from _texts(other)


def _last(node: cst.CSTNode) -> str:
    """Return the last part of a name with dots, or the key of an element."""
    if isinstance(node, cst.Subscript) and isinstance(node.slice[0].slice, cst.Index):
        return text_of(node.slice[0].slice.value) or ""
    if isinstance(node, cst.Call):
        return _last(node.func.value) if isinstance(node.func, cst.Attribute) else ""
    return dotted_name(node).rpartition(".")[2]
