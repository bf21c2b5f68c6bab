"""tiktoken, whose counts are OpenAI's -> the tokenizer of the model that is served, by the server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import libcst as cst
from libcst.metadata import GlobalScope, ImportAssignment

from vllm_connect.migrate.codemod import Codemod, Sheet
from vllm_connect.migrate.exports import dotted_name
from vllm_connect.migrate.finding import Severity
from vllm_connect.migrate.rule import Rule

__all__ = ["Tokens"]

TIKTOKEN = Rule(
    "tiktoken",
    "Tokens counted by tiktoken",
    Severity.CHANGES_OUTPUT,
    "the model that is served has another tokenizer: counts are wrong, and cuts fall elsewhere",
    "Ask the server: client.server.tokenize(text).count, or messages= for a whole conversation; a model of Hugging Face "
    "counts without a request by transformers.AutoTokenizer.",
)

MAKERS = frozenset({"tiktoken.encoding_for_model", "tiktoken.get_encoding"})
ENCODERS = frozenset({f"{one}()" for one in MAKERS} | {"tiktoken.Encoding()"})
ENCODING, DECODING = frozenset({"encode", "encode_ordinary"}), frozenset({"decode"})
# Arguments of encode() that say what becomes of special tokens in a text.
OF_SPECIAL_TOKENS = frozenset({"allowed_special", "disallowed_special"})
CLIENT, LATER = "vllm_connect.OpenAI()", "vllm_connect.AsyncOpenAI()"


class Use(NamedTuple):
    """A call of an encoder's method, and what it stands in."""

    call: cst.Call
    encoder: cst.BaseExpression
    owner: cst.ClassDef | None
    functions: tuple[cst.FunctionDef, ...]


class Reach(NamedTuple):
    """A client that code can name: as source, and whether its answers are awaited."""

    source: str
    is_async: bool


class Question(NamedTuple):
    """What takes the place of a call: the method of the server, what of its answer is read, and the model."""

    reach: Reach
    method: str
    read: str
    model: tuple[cst.Arg, ...]


@dataclass
class Plan:
    """What goes and what changes, by the nodes that the module was read with."""

    gone: set[cst.CSTNode] = field(default_factory=set)
    asked: dict[cst.Call, Question] = field(default_factory=dict)


class Tokens(Codemod):
    """`len(encoding.encode(text))` -> `client.server.tokenize(text, add_special_tokens=False).count`.

    All of a module or nothing: counts of two tokenizers do not go together. Where no client is at hand, or an encoder is
    handed on, it is reported.
    """

    rules = (TIKTOKEN,)
    words = ("tiktoken",)

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(sheet)
        self._plan = Plan()

    def visit_Module(self, node: cst.Module) -> None:
        look = _Look(self)
        node.visit(look)
        if look.makers and look.uses and not look.others:
            plan = self._planned(look)
            if plan is not None:
                self._plan = plan
                for use in look.uses:
                    self.fixed(
                        use.call,
                        TIKTOKEN,
                        "the server counts by the model's own tokenizer; each is a request now",
                        "Count once where a loop did; client.server.tokenize(messages=...) counts a conversation.",
                    )
                return
        for call in (*look.makers, *look.splitters):
            is_by_model = dotted_name(call.func).endswith("encoding_for_model")
            told = f"it raises KeyError for the name of a served model, and {TIKTOKEN.why}"
            self.left(
                call,
                TIKTOKEN,
                told if is_by_model else "",
                severity=Severity.BREAKS if is_by_model else None,
            )

    def _planned(self, look: _Look) -> Plan | None:
        """Return how all of a module is rewritten, None where something of it cannot be."""
        plan = Plan()
        for use in look.uses:
            reach = self._reach(use, look)
            if reach is None or not _is_plain(use.call):
                return None
            around = look.measured.get(use.call)
            method = cst.ensure_type(use.call.func, cst.Attribute).attr.value
            model = tuple(self._model(use, look))
            if method in DECODING:
                plan.asked[use.call] = Question(reach, "detokenize", "", model)
            else:
                read = "tokens" if around is None else "count"
                plan.asked[around or use.call] = Question(reach, "tokenize", read, model)
        chained = {use.encoder for use in look.uses}
        for maker in look.makers:
            line = look.lines.get(maker)
            if line is None and maker not in chained:
                return None
            if line is not None:
                plan.gone.add(line)
        consumed = {_root(one.func) for one in look.makers}
        plan.gone |= {one for one in look.imports if self._is_consumed(one, consumed)}
        return plan

    def _reach(self, use: Use, look: _Look) -> Reach | None:
        """Return a client at this place: a parameter, an attribute of `self`, or one of the module's."""
        is_async = bool(use.functions) and use.functions[-1].asynchronous is not None
        found = [*self._of_parameters(use), *look.of_classes.get(use.owner, ())]
        found += [
            one for one in look.of_module if use.functions or look.order[use.call] > look.order[one.source]
        ]
        usable = [one for one in found if not one.is_async or is_async]
        return next(iter(sorted(usable, key=lambda one: one.is_async)), None)

    def _of_parameters(self, use: Use) -> Iterator[Reach]:
        for function in reversed(use.functions):
            listed = function.params
            for one in (*listed.posonly_params, *listed.params, *listed.kwonly_params):
                kind = (
                    None
                    if one.annotation is None
                    else _kind(self.sheet.bindings.annotated(one.annotation.annotation))
                )
                if kind is not None:
                    yield Reach(one.name.value, kind)

    def _model(self, use: Use, look: _Look) -> Iterator[cst.Arg]:
        """Yield the model where the encoder was asked for by a name of the same function."""
        for one in self.values(use.encoder):
            if not isinstance(one, cst.Call) or not dotted_name(one.func).endswith("encoding_for_model"):
                continue
            is_here = look.functions.get(one) == use.functions
            if is_here and len(one.args) == 1 and isinstance(one.args[0].value, cst.Name):
                yield _keyword("model", one.args[0].value)
                return

    def _is_consumed(self, statement: cst.Import | cst.ImportFrom, consumed: set[cst.CSTNode]) -> bool:
        assert not isinstance(statement.names, cst.ImportStar)
        scope = self.sheet.bindings.scopes.get(statement.names[0])
        if scope is None or self.sheet.file.endswith("__init__.py"):
            return False
        references = [
            access.node
            for alias in statement.names
            for one in scope[(alias.evaluated_alias or alias.evaluated_name).partition(".")[0]]
            if isinstance(one, ImportAssignment) and one.node is statement
            for access in one.references
        ]
        return bool(references) and all(_root(one) in consumed for one in references)

    # -- what is rewritten

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        asked = self._plan.asked.get(original_node)
        return updated_node if asked is None else _asking(asked, updated_node)

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine | cst.RemovalSentinel:
        return cst.RemoveFromParent() if self._is_gone(original_node) else updated_node

    def leave_Try(self, original_node: cst.Try, updated_node: cst.Try) -> cst.Try | cst.RemovalSentinel:
        """Take out what tried one encoding, then another."""
        blocks = [original_node.body, *(one.body for one in original_node.handlers)]
        is_empty = all(self._is_gone(one) or _is_said(one) for block in blocks for one in block.body)
        is_ours = any(self._is_gone(one) for one in original_node.body.body)
        if is_ours and is_empty and original_node.orelse is None and original_node.finalbody is None:
            return cst.RemoveFromParent()
        return updated_node

    def _is_gone(self, node: cst.CSTNode) -> bool:
        if not isinstance(node, cst.SimpleStatementLine):
            return False
        return len(node.body) == 1 and node.body[0] in self._plan.gone


class _Look(cst.CSTVisitor):
    """Encoders, what is asked of them, and clients."""

    def __init__(self, codemod: Codemod) -> None:
        super().__init__()
        self._trails = codemod.trails
        self._scopes = codemod.sheet.bindings.scopes
        self._functions: list[cst.FunctionDef] = []
        self._owners: list[cst.ClassDef] = []
        self._seen: set[cst.CSTNode] = set()
        self.makers: list[cst.Call] = []
        self.splitters: list[cst.Call] = []
        self.uses: list[Use] = []
        # What is done with an encoder beside: handed on, returned, asked for other things.
        self.others: list[cst.CSTNode] = []
        self.lines: dict[cst.CSTNode, cst.Assign] = {}
        self.functions: dict[cst.CSTNode, tuple[cst.FunctionDef, ...]] = {}
        self.measured: dict[cst.Call, cst.Call] = {}
        self.imports: list[cst.Import | cst.ImportFrom] = []
        self.of_module: list[Reach] = []
        self.of_classes: dict[cst.ClassDef | None, list[Reach]] = {}
        self.order: dict[cst.CSTNode | str, int] = {}

    def on_visit(self, node: cst.CSTNode) -> bool:
        self.order[node] = len(self.order)
        return super().on_visit(node)

    def visit_Import(self, node: cst.Import) -> None:
        if len(node.names) == 1 and node.names[0].evaluated_name == "tiktoken":
            self.imports.append(node)

    def visit_ImportFrom(self, node: cst.ImportFrom) -> None:
        module = "" if node.module is None or node.relative else dotted_name(node.module)
        if module == "tiktoken" and not isinstance(node.names, cst.ImportStar):
            self.imports.append(node)

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self._functions.append(node)

    def leave_FunctionDef(self, original_node: cst.FunctionDef) -> None:
        self._functions.pop()

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        self._owners.append(node)

    def leave_ClassDef(self, original_node: cst.ClassDef) -> None:
        self._owners.pop()

    def visit_Assign(self, node: cst.Assign) -> None:
        for one in node.targets:
            self._seen.add(one.target)
            kind = _kind(self._trails(node.value))
            if kind is None:
                continue
            match one.target:
                case cst.Name(value=name) if isinstance(self._scopes.get(one.target), GlobalScope):
                    self.of_module.append(Reach(name, kind))
                    self.order.setdefault(name, len(self.order))
                case cst.Attribute(value=cst.Name(value="self"), attr=cst.Name(value=name)) if self._owners:
                    self.of_classes.setdefault(self._owners[-1], []).append(Reach(f"self.{name}", kind))
        if len(node.targets) == 1 and isinstance(node.targets[0].target, cst.Name | cst.Attribute):
            self.lines[node.value] = node

    def visit_Arg(self, node: cst.Arg) -> None:
        if node.keyword is not None:
            self._seen.add(node.keyword)

    def visit_Param(self, node: cst.Param) -> None:
        self._seen.add(node.name)
        if node.annotation is not None and "tiktoken" in "".join(self._trails(node.annotation.annotation)):
            self.others.append(node)

    def visit_Call(self, node: cst.Call) -> None:
        self.functions[node] = tuple(self._functions)
        match node:
            case cst.Call(func=cst.Name(value="len"), args=[cst.Arg(value=cst.Call() as inner)]):
                self.measured[inner] = node
        trails = self._trails(node.func)
        if trails and trails <= MAKERS:
            self.makers.append(node)
            return
        if not isinstance(node.func, cst.Attribute):
            return
        if node.func.attr.value == "from_tiktoken_encoder":
            self.splitters.append(node)
        elif node.func.attr.value in ENCODING | DECODING and self._is_encoder(node.func.value):
            self._seen |= {node.func, node.func.value}
            owner = self._owners[-1] if self._owners else None
            self.uses.append(Use(node, node.func.value, owner, tuple(self._functions)))

    def visit_Name(self, node: cst.Name) -> None:
        self._look_at(node)

    def visit_Attribute(self, node: cst.Attribute) -> None:
        self._seen.add(node.attr)
        self._look_at(node)

    def visit_Return(self, node: cst.Return) -> None:
        if node.value is not None and self._is_encoder(node.value):
            self.others.append(node)

    def _look_at(self, node: cst.BaseExpression) -> None:
        if node not in self._seen and self._is_encoder(node):
            self.others.append(node)

    def _is_encoder(self, node: cst.BaseExpression) -> bool:
        return bool(self._trails(node) & ENCODERS)


def _kind(trails: frozenset[str]) -> bool | None:
    """Return whether a client is awaited, None for what is no client beyond doubt."""
    return {frozenset({CLIENT}): False, frozenset({LATER}): True}.get(trails)


def _is_plain(call: cst.Call) -> bool:
    """Whether a call of an encoder has one text, and nothing else that matters."""
    named = {one.keyword.value for one in call.args if one.keyword is not None}
    plain = [one for one in call.args if one.keyword is None and not one.star]
    return len(plain) == 1 and named <= OF_SPECIAL_TOKENS and not any(one.star for one in call.args)


def _asking(asked: Question, call: cst.Call) -> cst.BaseExpression:
    """Return a question to the server in place of a call, or of its length."""
    if asked.read == "count":
        call = cst.ensure_type(call.args[0].value, cst.Call)
    text = next(one for one in call.args if one.keyword is None)
    args = [cst.Arg(text.value), *asked.model]
    if asked.read:
        args.append(_keyword("add_special_tokens", cst.Name("False")))
    server = cst.Attribute(cst.parse_expression(asked.reach.source), cst.Name("server"))
    sent: cst.BaseExpression = cst.Call(cst.Attribute(server, cst.Name(asked.method)), args)
    if asked.reach.is_async:
        sent = cst.Await(sent, lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    return cst.Attribute(sent, cst.Name(asked.read)) if asked.read else sent


def _keyword(name: str, value: cst.BaseExpression) -> cst.Arg:
    none = cst.SimpleWhitespace("")
    return cst.Arg(value, keyword=cst.Name(name), equal=cst.AssignEqual(none, none))


def _is_said(node: cst.CSTNode) -> bool:
    """Whether a statement only says something, as those do that warn of an unknown model."""
    match node:
        case cst.SimpleStatementLine(body=[cst.Expr(value=cst.Call(func=function))]):
            return dotted_name(function).rpartition(".")[2] in {"print", "warning", "warn", "info", "debug"}
        case _:
            return False


def _root(node: cst.CSTNode) -> cst.CSTNode:
    while isinstance(node, cst.Attribute):
        node = node.value
    return node
