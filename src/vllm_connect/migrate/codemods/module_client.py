"""The client that the `openai` module itself is becomes one of its own; calls of before 1.0 are `legacy_api`'s.

What is made here is a client of the openai package, which `clients` makes the drop-in of in the next round.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import libcst as cst

from vllm_connect.migrate.codemod import Codemod, Sheet
from vllm_connect.migrate.finding import Severity
from vllm_connect.migrate.legacy import legacy_call
from vllm_connect.migrate.rule import Rule
from vllm_connect.migrate.trails import text_of

__all__ = ["ModuleClient"]

MODULE = Rule(
    "module-client",
    "The openai module as a client",
    Severity.BREAKS,
    "it sends prompts to api.openai.com unless openai.base_url is set, and OPENAI_API_KEY wherever that leads",
    "Make a vllm_connect.OpenAI, and call that.",
)
SETTING = Rule(
    "module-setting",
    "A setting of the openai module",
    Severity.BREAKS,
    "no client of yours reads it: clients are made with their own settings",
    "Give it to the client where that is made, or set VLLM_BASE_URL and VLLM_API_KEY.",
)

# What the module has of a client.
RESOURCES = frozenset(
    {"chat", "completions", "embeddings", "responses", "models", "audio", "images", "files", "batches", "moderations",
     "beta", "fine_tuning", "uploads", "vector_stores", "realtime", "containers", "conversations", "evals", "videos"}
)  # fmt: skip
# Settings of the module, and the argument that each is today; before 1.0 some had another name.
SETTINGS = {
    "api_key": "api_key",
    "base_url": "base_url",
    "api_base": "base_url",
    "organization": "organization",
    "project": "project",
    "api_version": "api_version",
    "azure_endpoint": "azure_endpoint",
    "azure_ad_token": "azure_ad_token",
    "azure_ad_token_provider": "azure_ad_token_provider",
    "default_headers": "default_headers",
    "default_query": "default_query",
    "timeout": "timeout",
    "max_retries": "max_retries",
    "http_client": "http_client",
    "api_type": "",
    "api_key_path": "",
}
AZURE_ALONE = frozenset({"api_version", "azure_endpoint", "azure_ad_token", "azure_ad_token_provider"})
NAMES = ("client", "vllm_client", "vllm_connect_client")


@dataclass(frozen=True)
class _Use:
    """One use of the module as a client: the attribute that changes, and what it becomes of which client."""

    node: cst.Attribute
    functions: tuple[cst.CSTNode, ...]
    path: str


@dataclass(frozen=True)
class _Set:
    """One assignment to a setting of the module."""

    line: cst.CSTNode
    name: str
    value: cst.BaseExpression
    functions: tuple[cst.CSTNode, ...]
    is_plain: bool


@dataclass
class _Plan:
    """What the client is called, where it is made, and of what."""

    name: str
    at: cst.CSTNode | None = None
    is_before: bool = False
    made: cst.SimpleStatementLine | None = None
    gone: set[cst.CSTNode] = field(default_factory=set)


class ModuleClient(Codemod):
    """`openai.chat.completions.create()`, `openai.base_url = ...` -> a client."""

    rules = (MODULE, SETTING)
    words = ("openai",)

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(sheet)
        self._plan: _Plan | None = None
        self._uses: Mapping[cst.CSTNode, _Use] = {}

    def visit_Module(self, node: cst.Module) -> None:
        look = _Look(self)
        node.visit(look)
        if look.is_legacy:
            return
        self._uses = {one.node: one for one in look.uses}
        reason = "" if not (look.uses or look.sets) else self._reason(look)
        if not reason and look.uses:
            self._plan = self._planned(node, look)
        for use in look.uses:
            if self._plan is not None:
                self.fixed(use.node, MODULE)
            else:
                self.left(use.node, MODULE, f"{MODULE.why}; not rewritten: {reason}")
        for one in look.sets:
            if self._plan is not None:
                self.fixed(one.line, SETTING, f"openai.{one.name} is an argument of the client now")
            else:
                self.left(one.line, SETTING)

    # -- whether, and how

    def _reason(self, look: _Look) -> str:
        """Return why nothing is rewritten, empty where it can be."""
        homes = {one.functions for one in look.sets}
        if len(homes) > 1 or not all(one.is_plain for one in look.sets):
            return "the settings are made in several places, or on a condition"
        home = next(iter(homes), ())
        if any(use.functions[: len(home)] != home for use in look.uses):
            return "the settings are made in a function, and it is used in others"
        last = look.sets[-1].line if look.sets else None
        if last is not None and any(
            use.functions == home and look.order[use.node] < look.order[last] for use in look.uses
        ):
            return "it is used before all settings are made"
        types = [one.value for one in look.sets if one.name == "api_type"]
        if any(text_of(one) is None for one in types):
            return "openai.api_type is not to be seen"
        if all(name in look.names for name in NAMES):
            return "there is no free name for the client"
        return ""

    def _planned(self, module: cst.Module, look: _Look) -> _Plan:
        free = next(name for name in NAMES if name not in look.names)
        plan = _Plan(name=free)
        plan.gone = {one.line for one in look.sets}
        made = cst.SimpleStatementLine([cst.Assign([cst.AssignTarget(cst.Name(free))], self._made(look))])
        if look.sets:
            plan.at = look.sets[-1].line
            comments = [
                line
                for one in look.sets
                for line in cst.ensure_type(one.line, cst.SimpleStatementLine).leading_lines
                if line.comment is not None or one is look.sets[0]
            ]
            made = made.with_changes(leading_lines=comments)
        else:
            plan.at, plan.is_before = _first_use(module, look), True
        plan.made = made
        return plan

    def _made(self, look: _Look) -> cst.Call:
        """Return the construction of the client, with the settings that the module was given."""
        given = {one.name: one.value for one in look.sets}
        is_azure = "azure" in (text_of(given.get("api_type")) or "") or "azure_endpoint" in given
        arguments: dict[str, cst.BaseExpression] = {}
        for name, value in given.items():
            argument = SETTINGS[name]
            if argument and (is_azure or argument not in AZURE_ALONE):
                arguments["azure_endpoint" if is_azure and argument == "base_url" else argument] = value
        kind = "AzureOpenAI" if is_azure else "OpenAI"
        equal = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
        return cst.Call(
            cst.Attribute(cst.Name(look.module_name), cst.Name(kind)),
            [cst.Arg(value, keyword=cst.Name(name), equal=equal) for name, value in arguments.items()],
        )

    # -- what is rewritten

    def leave_Attribute(
        self, original_node: cst.Attribute, updated_node: cst.Attribute
    ) -> cst.BaseExpression:
        use = self._uses.get(original_node)
        if use is None or self._plan is None:
            return updated_node
        node: cst.BaseExpression = cst.Name(self._plan.name)
        for name in use.path.split("."):
            node = cst.Attribute(node, cst.Name(name))
        return node

    def leave_SimpleStatementLine(
        self, original_node: cst.BaseStatement, updated_node: cst.BaseStatement
    ) -> Any:
        """Put the client where it is made, and take settings out."""
        plan = self._plan
        if plan is None or plan.made is None:
            return updated_node
        if original_node is plan.at:
            return cst.FlattenSentinel([plan.made, *([updated_node] if plan.is_before else [])])
        return cst.RemoveFromParent() if original_node in plan.gone else updated_node

    # Before any statement of a module, that is.
    leave_FunctionDef = leave_ClassDef = leave_If = leave_SimpleStatementLine  # noqa: N815
    leave_For = leave_While = leave_With = leave_Try = leave_Match = leave_SimpleStatementLine  # noqa: N815


def _first_use(module: cst.Module, look: _Look) -> cst.CSTNode | None:
    """Return the statement of the module before which the client is made: the first use, function or class."""
    at_top = {use.node for use in look.uses if not use.functions}
    for statement in module.body:
        if isinstance(statement, cst.FunctionDef | cst.ClassDef) or any(_holds(statement, at_top)):
            return statement
    return None


def _holds(statement: cst.CSTNode, nodes: set[cst.Attribute]) -> Iterator[bool]:
    waiting: list[cst.CSTNode] = [statement]
    while waiting:
        one = waiting.pop()
        yield one in nodes
        waiting.extend(one.children)


class _Look(cst.CSTVisitor):
    """Where the module is used as a client, and where it is set up."""

    def __init__(self, codemod: Codemod) -> None:
        super().__init__()
        self._trails = codemod.trails
        self.uses: list[_Use] = []
        self.sets: list[_Set] = []
        self.names: set[str] = set()
        self.order: dict[cst.CSTNode, int] = {}
        self.module_name = "openai"
        self.is_legacy = False
        self._functions: list[cst.CSTNode] = []
        self._blocks: list[cst.CSTNode] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        self.order[node] = len(self.order)
        return super().on_visit(node)

    def visit_Module(self, node: cst.Module) -> None:
        self._blocks.append(node)

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self._functions.append(node)
        self._blocks.append(node)

    def leave_FunctionDef(self, original_node: cst.FunctionDef) -> None:
        self._functions.pop()
        self._blocks.pop()

    def visit_Lambda(self, node: cst.Lambda) -> None:
        self._functions.append(node)

    def leave_Lambda(self, original_node: cst.Lambda) -> None:
        self._functions.pop()

    def visit_IndentedBlock(self, node: cst.IndentedBlock) -> None:
        self._blocks.append(node)

    def leave_IndentedBlock(self, original_node: cst.IndentedBlock) -> None:
        self._blocks.pop()

    def visit_Name(self, node: cst.Name) -> None:
        self.names.add(node.value)

    def visit_SimpleStatementLine(self, node: cst.SimpleStatementLine) -> None:
        for statement in node.body:
            match statement:
                case cst.Assign(targets=[cst.AssignTarget(target=cst.Attribute() as target)], value=value):
                    if target.attr.value in SETTINGS and self._is_module(target.value):
                        is_plain = len(node.body) == 1 and self._is_directly_in_function()
                        functions = tuple(self._functions)
                        self.sets.append(_Set(node, target.attr.value, value, functions, is_plain))

    def _is_directly_in_function(self) -> bool:
        inner = self._blocks[-1]
        if isinstance(inner, cst.Module):
            return True
        owner = self._functions[-1] if self._functions else None
        return isinstance(owner, cst.FunctionDef) and owner.body is inner

    def visit_Attribute(self, node: cst.Attribute) -> None:
        if node.attr.value in RESOURCES and self._is_module(node.value):
            self.uses.append(_Use(node, tuple(self._functions), node.attr.value))
        self.is_legacy = self.is_legacy or legacy_call(self._trails(node)) is not None

    def _is_module(self, node: cst.CSTNode) -> bool:
        is_module = isinstance(node, cst.Name) and self._trails(node) == {"openai"}
        if isinstance(node, cst.Name) and is_module:
            self.module_name = node.value
        return is_module
