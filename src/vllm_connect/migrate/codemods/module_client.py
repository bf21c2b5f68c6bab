"""The client that the `openai` module itself is, and the calls of its releases before 1.0, become a client of their own.

What is made here is a client of the openai package, which `clients` makes the drop-in of in the next round.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import libcst as cst

from vllm_connect.migrate.arguments import keyword, keyword_names, rewritten, without
from vllm_connect.migrate.codemod import Codemod, Sheet
from vllm_connect.migrate.finding import Severity
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
LEGACY = Rule(
    "legacy-call",
    "A call of openai before 1.0",
    Severity.BREAKS,
    "it is an error since openai 1.0",
    "Make a vllm_connect.OpenAI, and call that: client.chat.completions.create(...).",
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
# Calls before 1.0, and where they are today.
RENAMED = {
    "ChatCompletion.create": "chat.completions.create",
    "Completion.create": "completions.create",
    "Embedding.create": "embeddings.create",
    "Model.list": "models.list",
    "Model.retrieve": "models.retrieve",
}
CALLS: Mapping[str, tuple[str, bool]] = {
    **{old: (new, False) for old, new in RENAMED.items()},
    **{f"{old.partition('.')[0]}.a{old.partition('.')[2]}": (new, True) for old, new in RENAMED.items()},
}
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
# Arguments of single calls before 1.0, and what they are today; empty for what goes.
ARGUMENTS = {
    "engine": "model",
    "deployment_id": "model",
    "request_timeout": "timeout",
    "headers": "extra_headers",
    "api_key": "",
    "api_type": "",
    "api_version": "",
    "organization": "",
}
NAMES = ("client", "vllm_client", "vllm_connect_client")


@dataclass(frozen=True)
class _Use:
    """One use of the module as a client: the attribute that changes, and what it becomes of which client."""

    node: cst.Attribute
    functions: tuple[cst.CSTNode, ...]
    path: str
    is_async: bool
    is_legacy: bool


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
    """Where clients are made, of what, and what they are called."""

    at: cst.CSTNode | None = None
    is_before: bool = False
    statements: list[cst.SimpleStatementLine] = field(default_factory=list)
    gone: set[cst.CSTNode] = field(default_factory=set)
    names: dict[bool, str] = field(default_factory=dict)


class ModuleClient(Codemod):
    """`openai.chat.completions.create()`, `openai.ChatCompletion.create()`, `openai.base_url = ...` -> a client."""

    rules = (MODULE, LEGACY, SETTING)
    words = ("openai",)

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(sheet)
        self._plan: _Plan | None = None
        self._uses: Mapping[cst.CSTNode, _Use] = {}

    def visit_Module(self, node: cst.Module) -> None:
        look = _Look(self)
        node.visit(look)
        self._uses = {one.node: one for one in look.uses}
        reason = "" if not (look.uses or look.sets) else self._reason(look)
        if not reason and look.uses:
            self._plan = self._planned(node, look)
        for use in look.uses:
            rule = LEGACY if use.is_legacy else MODULE
            if self._plan is not None:
                self.fixed(use.node, rule)
            else:
                self.left(use.node, rule, f"{rule.why}; not rewritten: {reason}")
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
        if look.calls_with_base:
            return "a call has an address of its own (api_base=)"
        if all(name in look.names for name in NAMES):
            return "there is no free name for the client"
        return ""

    def _planned(self, module: cst.Module, look: _Look) -> _Plan:
        free = next(name for name in NAMES if name not in look.names)
        kinds = {use.is_async for use in look.uses}
        plan = _Plan(names={kind: f"async_{free}" if kind and len(kinds) > 1 else free for kind in kinds})
        plan.gone = {one.line for one in look.sets}
        calls = [self._made(look, is_async=kind) for kind in sorted(kinds)]
        lines = [
            cst.SimpleStatementLine([cst.Assign([cst.AssignTarget(cst.Name(plan.names[kind]))], call)])
            for kind, call in zip(sorted(kinds), calls, strict=True)
        ]
        if look.sets:
            plan.at = look.sets[-1].line
            comments = [
                line
                for one in look.sets
                for line in cst.ensure_type(one.line, cst.SimpleStatementLine).leading_lines
                if line.comment is not None or one is look.sets[0]
            ]
            lines[0] = lines[0].with_changes(leading_lines=comments)
        else:
            plan.at, plan.is_before = _first_use(module, look), True
        plan.statements = lines
        return plan

    def _made(self, look: _Look, *, is_async: bool) -> cst.Call:
        """Return the construction of the client, with the settings that the module was given."""
        given = {one.name: one.value for one in look.sets}
        is_azure = "azure" in (text_of(given.get("api_type")) or "") or "azure_endpoint" in given
        arguments: dict[str, cst.BaseExpression] = {}
        for name, value in given.items():
            argument = SETTINGS[name]
            if argument and (is_azure or argument not in AZURE_ALONE):
                arguments["azure_endpoint" if is_azure and argument == "base_url" else argument] = value
        kind = f"{'Async' if is_async else ''}{'Azure' if is_azure else ''}OpenAI"
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
        node: cst.BaseExpression = cst.Name(self._plan.names[use.is_async])
        for name in use.path.split("."):
            node = cst.Attribute(node, cst.Name(name))
        return node

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        use = self._uses.get(original_node.func)
        if use is None or self._plan is None or not use.is_legacy:
            return updated_node
        has_model = {"engine", "deployment_id"} & {*keyword_names(original_node)}
        changed = without(updated_node, ["model"]) if has_model else updated_node
        for name in keyword_names(original_node):
            if name not in ARGUMENTS:
                continue
            new = ARGUMENTS[name]
            self.fixed(
                keyword(original_node, name) or original_node,
                LEGACY,
                f"`{name}` is `{new}` now" if new else f"`{name}` is gone: the client has it",
            )
            changed = _renamed(changed, name, new) if new else without(changed, [name])
        return changed

    def leave_SimpleStatementLine(
        self, original_node: cst.BaseStatement, updated_node: cst.BaseStatement
    ) -> Any:
        """Put the client where it is made, and take settings out."""
        plan = self._plan
        if plan is None:
            return updated_node
        if original_node is plan.at:
            rest = [updated_node] if plan.is_before else []
            return cst.FlattenSentinel([*plan.statements, *rest])
        return cst.RemoveFromParent() if original_node in plan.gone else updated_node

    # Before any statement of a module, that is.
    leave_FunctionDef = leave_ClassDef = leave_If = leave_SimpleStatementLine  # noqa: N815
    leave_For = leave_While = leave_With = leave_Try = leave_Match = leave_SimpleStatementLine  # noqa: N815


def _renamed(call: cst.Call, name: str, new: str) -> cst.Call:
    return rewritten(call, name, lambda arg: arg.with_changes(keyword=cst.Name(new)))


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
        self.calls_with_base = False
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

    def visit_Call(self, node: cst.Call) -> None:
        if isinstance(node.func, cst.Attribute) and keyword(node, "api_base") is not None:
            self.calls_with_base = self.calls_with_base or any(
                "openai" in one for one in self._trails(node.func)
            )

    def visit_Attribute(self, node: cst.Attribute) -> None:
        if self._is_module(node.value):
            if node.attr.value in RESOURCES:
                self._use(node, node.attr.value, is_async=False, is_legacy=False)
        elif isinstance(node.value, cst.Attribute) and self._is_module(node.value.value):
            known = CALLS.get(f"{node.value.attr.value}.{node.attr.value}")
            if known is not None:
                self._use(node, known[0], is_async=known[1], is_legacy=True)

    def _use(self, node: cst.Attribute, path: str, *, is_async: bool, is_legacy: bool) -> None:
        self.uses.append(_Use(node, tuple(self._functions), path, is_async, is_legacy))

    def _is_module(self, node: cst.CSTNode) -> bool:
        is_module = isinstance(node, cst.Name) and self._trails(node) == {"openai"}
        if isinstance(node, cst.Name) and is_module:
            self.module_name = node.value
        return is_module
