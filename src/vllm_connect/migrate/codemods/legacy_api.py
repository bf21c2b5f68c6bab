"""The module-wide API of openai before 1.0 -> a client of the module, which the codemod of clients makes the drop-in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import libcst as cst
from libcst.metadata import ImportAssignment

from vllm_connect.migrate.client import endpoint_of
from vllm_connect.migrate.codemod import Codemod, Sheet
from vllm_connect.migrate.entries import Edit, Values, dict_entries, edited_call, edited_dict, keyword_entries
from vllm_connect.migrate.exports import dotted_name
from vllm_connect.migrate.finding import Severity
from vllm_connect.migrate.legacy import CALLS, GONE, RESOURCES, legacy_call
from vllm_connect.migrate.rule import Rule
from vllm_connect.migrate.trails import text_of
from vllm_connect.migrate.variables import is_address_of_openai

__all__ = ["LegacyApi"]

API = Rule(
    "legacy-api",
    "The API of openai before 1.0",
    Severity.BREAKS,
    "the openai package of today has none of it: the first call raises APIRemovedInV1",
    "Make a client, and call its methods.",
)

# Settings of the module that a client takes as an argument; `organization` goes, and is reported by who drops it.
ARGUMENTS = {"api_base": "base_url", "api_key": "api_key", "organization": "organization"}
ARGUMENTS_OF_AZURE = {"api_base": "azure_endpoint", "api_version": "api_version"}
SETTINGS = frozenset({*ARGUMENTS, "api_version", "api_type"})
# Settings that no argument takes the place of.
OTHERS: Mapping[str, tuple[Severity, str, str]] = {
    "api_base": (
        Severity.BREAKS,
        "it is gone: reading it raises AttributeError, and setting it changes nothing",
        "Read client.base_url, and set VLLM_BASE_URL.",
    ),
    "proxy": (
        Severity.BREAKS,
        "nothing reads this any more: requests go without a proxy",
        "Set HTTPS_PROXY, or give the client http_client=.",
    ),
    "requestssession": (
        Severity.COSMETIC,
        "nothing reads this any more",
        "A client has connections of its own.",
    ),
    "aiosession": (Severity.COSMETIC, "nothing reads this any more", "A client has connections of its own."),
    "verify_ssl_certs": (
        Severity.COSMETIC,
        "nothing reads this any more, and 0.28 did not either",
        "Give the client tls=, where your server's certificate is your own.",
    ),
    "ca_bundle_path": (
        Severity.COSMETIC,
        "nothing reads this any more, and 0.28 did not either",
        "Give the client tls=, where your server's certificate is your own.",
    ),
    "log": (Severity.COSMETIC, "nothing reads this any more", "Set OPENAI_LOG."),
    "debug": (Severity.COSMETIC, "nothing reads this any more", "Set OPENAI_LOG."),
    "enable_telemetry": (Severity.COSMETIC, "nothing reads this any more", "Leave it out."),
    "app_info": (Severity.COSMETIC, "nothing reads this any more", "Leave it out."),
}
DEPLOYMENTS = ("engine", "deployment_id")
RENAMED = frozenset({*DEPLOYMENTS, "headers", "request_timeout"})
DROPPED = {
    "api_key": "the client has one key",
    "api_type": "vLLM has one kind of API",
    "api_version": "vLLM has one version of its API",
    "organization": "organizations of the OpenAI platform mean nothing to vLLM",
    "request_id": "it meant nothing to completions",
}
ELSEWHERE = (
    "Clients of other modules, which this reached too, read VLLM_BASE_URL: set it to the same address."
)
# Resources that vLLM serves nothing of: another codemod's.
UNSERVED = frozenset({"File", "FineTune", "FineTuningJob", "Image", "Moderation"})
NAMES = ("client", "openai_client", "vllm_client", "client_of_vllm")
METHODS = frozenset(name.rpartition(".")[2] for name in CALLS)


@dataclass
class Setting:
    """`openai.NAME = value`, one statement of a block; `function` is the innermost one around it."""

    name: str
    target: cst.Attribute
    value: cst.BaseExpression
    line: cst.SimpleStatementLine
    block: cst.CSTNode
    function: cst.FunctionDef | None


class Use(NamedTuple):
    """`openai.ChatCompletion.create` or the like, and the functions around it."""

    node: cst.Attribute
    is_async: bool
    functions: tuple[cst.FunctionDef, ...]


@dataclass
class Plan:
    """What becomes of one module, by the nodes that it was read with."""

    names: dict[bool, str] = field(default_factory=dict)
    made: dict[cst.SimpleStatementLine, list[cst.BaseSmallStatement]] = field(default_factory=dict)
    above: dict[cst.SimpleStatementLine, list[cst.EmptyLine]] = field(default_factory=dict)
    kept: set[cst.SimpleStatementLine] = field(default_factory=set)
    shared: set[cst.FunctionDef] = field(default_factory=set)
    by_default: list[cst.BaseSmallStatement] = field(default_factory=list)
    imports: list[cst.Import] = field(default_factory=list)
    classes: dict[str, None] = field(default_factory=dict)


class LegacyApi(Codemod):
    """Calls, settings and arguments.

    A module gets one client, as it had one set of settings: made where the settings were given, so that what was loaded
    before (`load_dotenv()`) still is. Where they were given within a function, that function makes it anew.
    """

    rules = (API,)
    words = ("openai",)

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(sheet)
        self._plan = Plan()
        self._edits: dict[cst.CSTNode, dict[str, Edit]] = {}

    # -- what is there

    def visit_Module(self, node: cst.Module) -> None:
        """Look at all of it before anything is changed."""
        look = _Look(self)
        node.visit(look)
        for name, nodes in look.others.items():
            for one in nodes if name in OTHERS else ():
                severity, why, todo = OTHERS[name]
                self.left(one, API, f"`openai.{name}`: {why}", todo, severity=severity)
        for value in look.values:
            name = value.attr.value
            self.left(value, API, f"`openai.{name}` is gone", GONE.get(name, ""))
        for call in look.calls:
            self._judge(call)
        if look.uses:
            self._make(look)

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        """Report what tests put something in the place of."""
        text = text_of(node) or ""
        if text.startswith("openai.") and "." in text and text.split(".")[1] in RESOURCES | {"error"}:
            self.left(
                node, API, f"`{text}` is gone", "Name what takes its place, or test against the simulator."
            )

    def visit_ImportFrom(self, node: cst.ImportFrom) -> None:
        module = "" if node.module is None or node.relative else dotted_name(node.module)
        if module.startswith("openai."):
            self._report_gone(node, module.split(".")[1])
        elif module == "openai" and not isinstance(node.names, cst.ImportStar):
            for one in node.names:
                self._report_gone(one, one.evaluated_name)

    def visit_Import(self, node: cst.Import) -> None:
        for one in node.names:
            if one.evaluated_name.startswith("openai."):
                self._report_gone(one, one.evaluated_name.split(".")[1])

    def _report_gone(self, node: cst.CSTNode, name: str) -> None:
        if name in GONE:
            self.left(node, API, f"`openai.{name}` is gone", GONE[name])

    # -- arguments

    def _judge(self, call: cst.Call) -> None:
        """Plan what becomes of the arguments of one call, those of a client of today among them."""
        is_method = isinstance(call.func, cst.Attribute) and call.func.attr.value in METHODS
        if not is_method and not (isinstance(call.func, cst.Name) and keyword_entries(call).keys() & RENAMED):
            return
        trails = self.trails(call.func)
        legacy = legacy_call(trails)
        if legacy is None and not all(endpoint_of(one) for one in trails or ("",)):
            return
        self._edits[call] = self._planned(keyword_entries(call), is_old=legacy is not None)
        for arg in call.args:
            if arg.star != "**":
                continue
            for value in self.values(arg.value):
                is_own = value is arg.value or self._is_used_once(arg.value)
                if not isinstance(value, cst.Dict):
                    continue
                edits = self._planned(dict_entries(value), is_old=legacy is not None, is_to_change=is_own)
                if is_own:
                    self._edits[value] = edits

    def _is_used_once(self, node: cst.BaseExpression) -> bool:
        assignments = self.sheet.bindings.assignments(cst.ensure_type(node, cst.Name))
        return len(assignments) == 1 and len(list(assignments[0].references)) == 1

    def _planned(self, entries: Values, *, is_old: bool, is_to_change: bool = True) -> dict[str, Edit]:
        edits: dict[str, Edit] = {}
        told: dict[str, str] = {}
        deployment = next((name for name in DEPLOYMENTS if name in entries), None)
        if deployment is not None:
            told[deployment] = f"`{deployment}` is `model`: vLLM has served models in place of deployments"
            edits[deployment] = Edit("model")
            edits |= {
                name: Edit() for name in ("model", *DEPLOYMENTS) if name in entries and name != deployment
            }
        if "request_timeout" in entries:
            told["request_timeout"] = "`request_timeout` is `timeout`"
            edits["request_timeout"] = Edit("timeout", lambda values: _seconds(values["request_timeout"]))
            edits |= {"timeout": Edit()} if "timeout" in entries else {}
        if "headers" in entries and "extra_headers" not in entries:
            told["headers"] = "`headers` is `extra_headers`"
            edits["headers"] = Edit("extra_headers")
        if is_old:
            for name in entries.keys() & DROPPED.keys():
                told[name] = f"`{name}` of a call is gone: {DROPPED[name]}"
                edits[name] = Edit()
            edits |= {"api_base": Edit()} if "api_base" in entries else {}
        todos = {"api_key": "Set VLLM_API_KEY where your server asks for a key."}
        for name, message in told.items():
            if is_to_change:
                self.fixed(entries[name], API, message, todos.get(name, ""))
            else:
                self.left(entries[name], API, f"{message}; not rewritten, as this dict goes elsewhere too")
        return edits

    def leave_Dict(self, original_node: cst.Dict, updated_node: cst.Dict) -> cst.Dict:
        edits = self._edits.get(original_node)
        return edited_dict(updated_node, edits) if edits else updated_node

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        edits = self._edits.get(original_node)
        if edits is None:
            return updated_node
        changed = edited_call(updated_node, edits) if edits else updated_node
        legacy = legacy_call(self.trails(original_node.func))
        if legacy is None:
            return changed
        if legacy.path.startswith("audio."):
            changed = _named(changed, ("model", "file"))
        if legacy.path == "models.retrieve" and "id" in keyword_entries(changed):
            changed = edited_call(changed, {"id": Edit("model")})
        return self._at_its_address(original_node, updated_node, changed)

    def _at_its_address(self, call: cst.Call, updated: cst.Call, changed: cst.Call) -> cst.Call:
        """Return a call that named its own address on a copy of the client that goes there."""
        address = keyword_entries(call).get("api_base")
        if address is None or not isinstance(call.func, cst.Attribute):
            return changed
        if is_address_of_openai(address):
            self.fixed(address, API, "`api_base` of a call is gone: it named OpenAI's server")
            return changed
        self.fixed(address, API, "`api_base` of a call is with_options(base_url=)")
        client = cst.Name(_root(changed.func).value)
        copied = cst.Call(
            cst.Attribute(client, cst.Name("with_options")),
            [_arg("base_url", keyword_entries(updated)["api_base"])],
        )
        return changed.with_changes(func=_with_root(changed.func, copied))

    # -- the client

    def _make(self, look: _Look) -> None:
        """Plan where the client of the module is made, and of what."""
        plan = self._plan
        kinds = sorted({one.is_async for one in look.uses})
        base = next((one for one in NAMES if not {one, f"async_{one}"} & look.names), NAMES[-1])
        plan.names = {kind: f"async_{base}" if kind and len(kinds) > 1 else base for kind in kinds}
        groups = _groups(look.settings)
        if any(self._is_used_before(group, look) for group in groups):
            groups = []  # they are put back after a call, or differ from call to call
        consumed: set[cst.CSTNode] = {_root(one.node) for one in look.uses}
        is_needed = True
        for group in groups:
            consumed |= {_root(one.target) for one in group if one.name not in look.others}
            is_needed &= not self._place(group, look)
        plan.imports = [one for one in look.imports if self._is_consumed(one, consumed)]
        at_top = [one for one in look.imports if one in look.at_top]
        module = None if set(at_top) & set(plan.imports) else _module_name(at_top)
        for group in groups:
            plan.made[group[-1].line] = list(self._creations(group, module, look))
        if is_needed:
            plan.by_default = list(self._creations([], module, look))
        if module is None and not set(at_top) & set(plan.imports):
            for name in plan.classes:
                self.add_import("openai", name)

    def _is_used_before(self, group: Sequence[Setting], look: _Look) -> bool:
        """Whether a call of the same function, or of the module itself, stands before the last of its settings."""
        function, last = group[0].function, self.sheet.position(group[-1].line).line
        return any(
            self.sheet.position(use.node).line < last
            for use in look.uses
            if (function in use.functions if function is not None else not use.functions)
        )

    def _place(self, group: Sequence[Setting], look: _Look) -> bool:
        """Plan that a client is made in place of a group; return whether the module needs no other."""
        plan = self._plan
        first, last = group[0], group[-1]
        above: list[cst.EmptyLine] = []
        for one in group:
            above += _comments(one.line, is_first=one is first)
            plan.made[one.line] = []
            if one.name in look.others:
                plan.kept.add(one.line)
            is_gone = one.name not in ARGUMENTS
            told = "is gone: vLLM has one API, of one version" if is_gone else "is an argument of the client"
            is_shared = one.name == "api_base" and len(self.sheet.project.modules) > 1
            self.fixed(one.line, API, f"`openai.{one.name}` {told}", ELSEWHERE if is_shared else "")
        plan.above[last.line] = above
        if first.function is None:
            return isinstance(first.block, cst.Module)
        is_alone = all(first.function in one.functions for one in look.uses)
        if is_alone and first.block is first.function.body:
            return True
        plan.shared.add(first.function)
        return False

    def _creations(
        self, group: Sequence[Setting], module: str | None, look: _Look
    ) -> Iterator[cst.BaseSmallStatement]:
        values = {
            one.name: one.target if one.name in look.others and isinstance(one.value, cst.Call) else one.value
            for one in group
        }
        kind = text_of(values.get("api_type")) or ""
        is_azure = kind.startswith("azure")
        arguments = {**ARGUMENTS, **(ARGUMENTS_OF_AZURE if is_azure else {})}
        args = [_arg(arguments[name], value) for name, value in values.items() if name in arguments]
        comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
        args = [*(one.with_changes(comma=comma) for one in args[:-1]), *args[-1:]]
        for is_async, name in self._plan.names.items():
            made = f"{'Async' if is_async else ''}{'Azure' if is_azure else ''}OpenAI"
            self._plan.classes[made] = None
            what: cst.BaseExpression = cst.Name(made)
            if module is not None:
                what = cst.Attribute(cst.Name(module), cst.Name(made))
            yield cst.Assign([cst.AssignTarget(cst.Name(name))], cst.Call(what, args))

    def _is_consumed(self, statement: cst.Import, consumed: set[cst.CSTNode]) -> bool:
        """Whether nothing is left of a module's uses, so that its import becomes that of the client's class."""
        scope = self.sheet.bindings.scopes.get(statement.names[0])
        if scope is None or len(statement.names) > 1 or self.sheet.file.endswith("__init__.py"):
            return False
        references = [
            access.node
            for one in scope[statement.names[0].evaluated_alias or "openai"]
            if isinstance(one, ImportAssignment) and one.node is statement
            for access in one.references
        ]
        return bool(references) and all(_root(one) in consumed for one in references)

    # -- what is rewritten

    def leave_Attribute(
        self, original_node: cst.Attribute, updated_node: cst.Attribute
    ) -> cst.BaseExpression:
        legacy = legacy_call(self.trails(original_node)) if original_node.attr.value in METHODS else None
        if legacy is None:
            return updated_node
        self.fixed(original_node, API, f"`{legacy.path}` of a client takes its place")
        whole: cst.BaseExpression = cst.Name(self._plan.names[legacy.is_async])
        for name in legacy.path.split("."):
            whole = cst.Attribute(whole, cst.Name(name))
        return whole

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine | cst.FlattenSentinel[cst.SimpleStatementLine] | cst.RemovalSentinel:
        if original_node.body and original_node.body[0] in self._plan.imports:
            return self._imported(original_node, updated_node)
        made = self._plan.made.get(original_node)
        if made is None:
            return updated_node
        lines = [cst.SimpleStatementLine([one]) for one in made]
        if original_node in self._plan.kept:
            return cst.FlattenSentinel([updated_node, *lines])
        if not lines:
            return cst.RemoveFromParent()
        lines[0] = lines[0].with_changes(leading_lines=self._plan.above[original_node])
        return lines[0] if len(lines) == 1 else cst.FlattenSentinel(lines)

    def _imported(
        self, original: cst.SimpleStatementLine, line: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine | cst.RemovalSentinel:
        """The first import at the module's top becomes that of the client's class, others go."""
        at_top = [one for one in self.sheet.module.body if isinstance(one, cst.SimpleStatementLine)]
        first = next((one for one in at_top if one.body and one.body[0] in self._plan.imports), None)
        if original is not first:
            return cst.RemoveFromParent()
        comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
        names = [cst.ImportAlias(cst.Name(one), comma=comma) for one in self._plan.classes]
        names[-1] = names[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
        return line.with_changes(body=[cst.ImportFrom(cst.Name("openai"), names)])

    def leave_ImportFrom(
        self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom
    ) -> cst.ImportFrom | cst.RemovalSentinel:
        """Take out what is gone and has no use any more."""
        if isinstance(updated_node.names, cst.ImportStar) or isinstance(original_node.names, cst.ImportStar):
            return updated_node
        if original_node.relative or dotted_name(original_node.module or cst.Name("")) != "openai":
            return updated_node
        gone = {one.evaluated_name for one in original_node.names if self._is_useless(one)}
        kept = [one for one in updated_node.names if one.evaluated_name not in gone]
        if not gone:
            return updated_node
        if not kept:
            return cst.RemoveFromParent()
        if kept[-1] is not updated_node.names[-1]:
            kept[-1] = kept[-1].with_changes(comma=updated_node.names[-1].comma)
        return updated_node.with_changes(names=kept)

    def _is_useless(self, alias: cst.ImportAlias) -> bool:
        scope = self.sheet.bindings.scopes.get(alias)
        if alias.evaluated_name not in RESOURCES or scope is None or self.sheet.file.endswith("__init__.py"):
            return False
        name = alias.evaluated_alias or alias.evaluated_name
        return not any(len(list(one.references)) for one in scope[name])

    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef:
        """Have a function that makes the client make that of the module."""
        if original_node not in self._plan.shared:
            return updated_node
        names = [cst.NameItem(cst.Name(one)) for one in self._plan.names.values()]
        line = cst.SimpleStatementLine([cst.Global(names)])
        body = list(updated_node.body.body)
        at = 1 if updated_node.get_docstring() is not None else 0
        return updated_node.with_changes(
            body=updated_node.body.with_changes(body=[*body[:at], line, *body[at:]])
        )

    def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:
        """Make the client of a module that gives no settings, or gives them later."""
        if not self._plan.by_default:
            return updated_node
        lines = [cst.SimpleStatementLine([one]) for one in self._plan.by_default]
        lines[0] = lines[0].with_changes(leading_lines=[cst.EmptyLine(indent=False)])
        body = list(updated_node.body)
        at = self._after_imports(original_node, updated_node)
        return updated_node.with_changes(body=[*body[:at], *lines, *body[at:]])

    def _after_imports(self, original: cst.Module, updated: cst.Module) -> int:
        """Return where a client is made: behind the imports, and behind what loads the environment."""
        loaders = {
            original.code_for_node(one).strip()
            for one in original.body
            if isinstance(one, cst.SimpleStatementLine) and self._loads_environment(one)
        }
        at = 0
        for place, one in enumerate(updated.body):
            if isinstance(one, cst.FunctionDef | cst.ClassDef):
                break
            is_import = isinstance(one, cst.SimpleStatementLine) and isinstance(
                one.body[0], cst.Import | cst.ImportFrom
            )
            is_docstring = place == 0 and updated.get_docstring() is not None
            if is_import or is_docstring or updated.code_for_node(one).strip() in loaders:
                at = place + 1
        return at

    def _loads_environment(self, line: cst.SimpleStatementLine) -> bool:
        match line.body:
            case [cst.Expr(value=cst.Call(func=function))]:
                return self.trails(function) == {"dotenv.load_dotenv"}
            case _:
                return False


class _Look(cst.CSTVisitor):
    """What a module has of the API of before 1.0."""

    def __init__(self, codemod: Codemod) -> None:
        super().__init__()
        self._trails = codemod.trails
        self._functions: list[cst.FunctionDef] = []
        self._blocks: list[cst.CSTNode] = []
        self._targets: set[cst.CSTNode] = set()
        self._owners: set[cst.CSTNode] = set()
        self._classes = 0
        self.settings: list[Setting] = []
        self.uses: list[Use] = []
        self.calls: list[cst.Call] = []
        self.imports: list[cst.Import] = []
        self.at_top: set[cst.CSTNode] = set()
        # Settings that are read, or set in another way.
        self.others: dict[str, list[cst.CSTNode]] = {}
        # Resources of before 1.0 that are no part of a call.
        self.values: list[cst.Attribute] = []
        self.names: set[str] = set()

    def visit_Module(self, node: cst.Module) -> None:
        self._blocks.append(node)
        for line in node.body:
            if isinstance(line, cst.SimpleStatementLine):
                self.at_top.update(line.body)

    def visit_IndentedBlock(self, node: cst.IndentedBlock) -> None:
        self._blocks.append(node)

    def leave_IndentedBlock(self, original_node: cst.IndentedBlock) -> None:
        self._blocks.pop()

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self._functions.append(node)

    def leave_FunctionDef(self, original_node: cst.FunctionDef) -> None:
        self._functions.pop()

    def visit_ClassDef_body(self, node: cst.ClassDef) -> None:
        self._classes += not self._functions

    def leave_ClassDef_body(self, node: cst.ClassDef) -> None:
        self._classes -= not self._functions

    def visit_Import(self, node: cst.Import) -> None:
        if any(one.evaluated_name == "openai" for one in node.names):
            self.imports.append(node)

    def visit_SimpleStatementLine(self, node: cst.SimpleStatementLine) -> None:
        match node.body:
            case [cst.Assign(targets=[cst.AssignTarget(target=cst.Attribute() as target)], value=value)]:
                name = self._setting(target)
                is_in_class = self._classes and not self._functions
                if name in SETTINGS and not is_in_class:
                    self._targets.add(target)
                    function = self._functions[-1] if self._functions else None
                    self.settings.append(Setting(name, target, value, node, self._blocks[-1], function))

    def _setting(self, node: cst.Attribute) -> str | None:
        name = node.attr.value
        is_one = name in SETTINGS or name in OTHERS
        return name if is_one and self._trails(node) == {f"openai.{name}"} else None

    def visit_Attribute(self, node: cst.Attribute) -> None:
        if node in self._targets:
            return
        if node.attr.value in METHODS:
            legacy = legacy_call(self._trails(node))
            if legacy is not None:
                self.uses.append(Use(node, legacy.is_async, tuple(self._functions)))
                self._owners.add(node.value)
        name = self._setting(node)
        if name is not None:
            self.others.setdefault(name, []).append(node)
        name = node.attr.value
        if (
            name in (RESOURCES - UNSERVED) | GONE.keys()
            and node not in self._owners
            and self._trails(node) == {f"openai.{name}"}
        ):
            self.values.append(node)

    def visit_Call(self, node: cst.Call) -> None:
        self.calls.append(node)

    def visit_Name(self, node: cst.Name) -> None:
        self.names.add(node.value)


def _groups(settings: Iterable[Setting]) -> list[list[Setting]]:
    """Return the settings block by block, where each block sets the same ones; each makes a client.

    Else they are left: which of them hold for a call is not to be read from the source.
    """
    blocks: dict[cst.CSTNode, list[Setting]] = {}
    for setting in settings:
        if setting.name in SETTINGS:
            blocks.setdefault(setting.block, []).append(setting)
    groups = list(blocks.values())
    names = {frozenset(one.name for one in group) - {"api_type", "api_version"} for group in groups}
    is_clear = all(len({one.name for one in group}) == len(group) for group in groups)
    return groups if is_clear and len(names) <= 1 else []


def _module_name(imports: Sequence[cst.Import]) -> str | None:
    """Return the name that a module goes on to have openai by, None where it is not imported at its top."""
    aliases = [alias for one in imports for alias in one.names if alias.evaluated_name == "openai"]
    return next((one.evaluated_alias or "openai" for one in aliases), None)


def _comments(line: cst.SimpleStatementLine, *, is_first: bool) -> list[cst.EmptyLine]:
    """Return what stands above the first of several lines that become one, and the comments of the others."""
    above = [one for one in line.leading_lines if is_first or one.comment is not None]
    behind = line.trailing_whitespace.comment
    return [*above, *([] if behind is None else [cst.EmptyLine(comment=behind)])]


def _root(node: cst.CSTNode) -> cst.Name:
    while isinstance(node, cst.Attribute):
        node = node.value
    return node if isinstance(node, cst.Name) else cst.Name("_")


def _with_root(node: cst.BaseExpression, root: cst.BaseExpression) -> cst.BaseExpression:
    if isinstance(node, cst.Attribute):
        return node.with_changes(value=_with_root(node.value, root))
    return root


def _arg(name: str, value: cst.BaseExpression) -> cst.Arg:
    none = cst.SimpleWhitespace("")
    return cst.Arg(value, keyword=cst.Name(name), equal=cst.AssignEqual(none, none))


def _named(call: cst.Call, names: Sequence[str]) -> cst.Call:
    """Return a call with its first arguments by name."""
    args = list(call.args)
    for at, name in enumerate(names):
        if at < len(args) and args[at].keyword is None and not args[at].star:
            args[at] = _arg(name, args[at].value).with_changes(comma=args[at].comma)
    return call.with_changes(args=args)


def _seconds(value: cst.BaseExpression) -> cst.BaseExpression:
    """Return a time limit as one number; requests took a pair of them, to connect and to read."""
    if isinstance(value, cst.Tuple) and len(value.elements) == 2:  # noqa: PLR2004 - a pair
        return value.elements[1].value
    return value
