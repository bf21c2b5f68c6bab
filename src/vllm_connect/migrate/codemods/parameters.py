"""Parameters of requests, by the table of facts: what vLLM renamed, ignores, refuses or does not know."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeGuard

import libcst as cst

from vllm_connect.facts.parameters import TABLE, Parameter, RequestKind
from vllm_connect.migrate.arguments import keyword, without
from vllm_connect.migrate.client import endpoint_by_name, endpoint_of
from vllm_connect.migrate.codemod import Codemod, Sheet
from vllm_connect.migrate.entries import (
    Edit,
    Values,
    dict_entries,
    edited_call,
    edited_dict,
    keyword_entries,
    text_node,
)
from vllm_connect.migrate.exports import dotted_name
from vllm_connect.migrate.finding import Severity
from vllm_connect.migrate.project import is_open
from vllm_connect.migrate.rule import Rule

__all__ = ["Parameters"]

GUIDED = Rule(
    "guided-decoding",
    "guided_json and its like",
    Severity.SILENTLY_IGNORED,
    "the output is not constrained",
    "Write structured_outputs in its place.",
    "since 0.12",
)
RENAMED = Rule(
    "renamed-parameter",
    "A parameter by another name",
    Severity.SILENTLY_IGNORED,
    "vLLM ignores this name",
    "Write the name that vLLM reads.",
)
IGNORED = Rule(
    "ignored-parameter",
    "A parameter that vLLM ignores",
    Severity.SILENTLY_IGNORED,
    "vLLM answers as if it were not there",
    "Leave it out, and do without what it did.",
)
NEEDLESS = Rule(
    "needless-parameter",
    "A parameter without effect on the answer",
    Severity.COSMETIC,
    "vLLM ignores it, and the answer is the same",
    "Leave it out.",
)
REFUSED = Rule(
    "refused-parameter",
    "A parameter that vLLM refuses",
    Severity.BREAKS,
    "vLLM answers 400",
    "Leave it out, or start the server with what it needs.",
)
FUNCTIONS = Rule(
    "legacy-functions",
    "functions and function_call",
    Severity.SILENTLY_IGNORED,
    "the model does not see the functions",
    "Write tools and tool_choice; calls come back as message.tool_calls, and results go as messages of role tool.",
)
UNKNOWN_NAME = Rule(
    "unknown-parameter",
    "A parameter that vLLM does not know",
    Severity.SILENTLY_IGNORED,
    "vLLM ignores what it does not know: a misspelling answers 200",
    "See whether it is misspelt, or meant for another server.",
)

# vLLM's names before 0.11, and the fields of structured_outputs that they became.
CONSTRAINTS = {
    "guided_json": "json",
    "guided_regex": "regex",
    "guided_choice": "choice",
    "guided_grammar": "grammar",
    "guided_json_object": "json_object",
    "structural_tag": "structural_tag",
}
REFINEMENTS = {"guided_whitespace_pattern": "whitespace_pattern"}
BACKEND = "guided_decoding_backend"
# Names that are judged with others.
TOGETHER = {*CONSTRAINTS, *REFINEMENTS, BACKEND, "functions", "function_call"}
# One name for another with the same value, where `parameters/translation.py` does the same to a request.
RENAMES: Mapping[RequestKind, Mapping[str, str]] = {
    "chat": {},
    "completions": {"max_completion_tokens": "max_tokens"},
    "embeddings": {"normalize": "use_activation"},
    "responses": {"max_tokens": "max_output_tokens", "max_completion_tokens": "max_output_tokens"},
}
# The old form of calls in answers, or in a history.
LEGACY = re.compile(r"""\.function_call\b|(["'])role\1\s*:\s*(["'])function\2|\[(["'])function_call\3\]""")
# What the SDK takes beside parameters of the request, and what is ours.
OPTIONS = frozenset({"extra_headers", "extra_query", "extra_body", "timeout", "timeouts", "thinking"})
# What libraries that wrap a client add to its methods.
WRAPPERS_OWN = frozenset(
    {
        "response_model",
        "max_retries",
        "validation_context",
        "context",
        "strict",
        "hooks",
        "name",
        "text_format",
    }
)

# A dict as it is written: by braces, or by its name.
Dict = cst.Dict | cst.Call
# Why what could be rewritten is not.
UNSEEN = "if this goes to vLLM: where the client comes from is not to be seen"
SHARED = "not rewritten, as this dict goes elsewhere too"


@dataclass(frozen=True)
class Body:
    """What is known of one request: its kind, all its names, and why it is not to be rewritten, empty where it is."""

    kind: RequestKind
    names: frozenset[str]
    doubt: str


class Parameters(Codemod):
    """Arguments of `create()` and its siblings, in keywords, `extra_body` and dicts."""

    rules = (GUIDED, RENAMED, IGNORED, NEEDLESS, REFUSED, FUNCTIONS, UNKNOWN_NAME)

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(sheet)
        self._edits: dict[cst.CSTNode, Mapping[str, Edit]] = {}
        self._is_legacy_throughout = False

    def visit_Module(self, node: cst.Module) -> None:
        """Judge all requests before anything is changed: a dict stands before the call that it goes into."""
        self._is_legacy_throughout = bool(LEGACY.search(node.code))
        look = _Calls()
        node.visit(look)
        for call in look.calls:
            self._judge(call)

    # -- what is asked

    def _judge(self, call: cst.Call) -> None:
        trails = self.called(call)
        endpoints = {endpoint_of(one) for one in trails}
        known = {one for one in endpoints if one is not None}
        by_name = (
            endpoint_by_name(dotted_name(call.func)) if not known and "." in dotted_name(call.func) else None
        )
        if not known and by_name is None:
            return
        kinds = {one.kind for one in known} or {by_name.kind}  # type: ignore[union-attr]
        if len(kinds) != 1:
            return
        doubt = "" if known and None not in endpoints else UNSEEN
        if doubt and not known and not any(map(is_open, trails)):
            return  # it is known, and is none of a client's
        dicts = list(self._dicts_of(call))
        names = frozenset(keyword_entries(call)).union(*(_entries(one) for one, _ in dicts))
        body = Body(next(iter(kinds)), names - OPTIONS, doubt)
        self._edits[call] = self._planned(keyword_entries(call), body)
        for node, is_exact in dicts:
            if node not in self._edits:
                mine = body if is_exact else replace(body, doubt=doubt or SHARED)
                self._edits[node] = self._planned(_entries(node), mine, is_extra=True)

    def _dicts_of(self, call: cst.Call) -> Iterator[tuple[Dict, bool]]:
        """Yield the dicts that go into a request, and whether each goes nowhere else."""
        for arg in call.args:
            is_extra = arg.keyword is not None and arg.keyword.value == "extra_body"
            if not is_extra and arg.star != "**":
                continue
            for value in self.values(arg.value):
                if self._is_dict(value):
                    yield value, value is arg.value or self._is_used_once(arg.value)

    def _is_dict(self, value: cst.BaseExpression) -> TypeGuard[Dict]:
        if isinstance(value, cst.Call):
            return self.trails(value.func) == {"builtins.dict"} and all(one.keyword for one in value.args)
        return isinstance(value, cst.Dict)

    def _is_used_once(self, name: cst.BaseExpression) -> bool:
        assignments = self.sheet.bindings.assignments(cst.ensure_type(name, cst.Name))
        return len(assignments) == 1 and len(list(assignments[0].references)) == 1

    # -- what becomes of it

    def _planned(self, entries: Values, body: Body, *, is_extra: bool = False) -> Mapping[str, Edit]:
        """Return what becomes of each name, and report it."""
        edits: dict[str, Edit] = {}
        edits |= self._guided(entries, body)
        if body.kind == "chat":
            edits |= self._functions(entries, body)
        for name, value in entries.items():
            if name in OPTIONS or (name in TOGETHER and name in TABLE[body.kind]):
                continue
            edit = self._one(value, name, body, is_extra=is_extra)
            if edit is not None:
                edits[name] = edit
        return edits

    def _one(self, value: cst.BaseExpression, name: str, body: Body, *, is_extra: bool) -> Edit | None:
        row = TABLE[body.kind].get(name)
        if row is None:
            if is_extra and name not in WRAPPERS_OWN:
                self._say(value, UNKNOWN_NAME, _unknown(body.kind, name), body)
            return None
        if _is_harmless(row, value):
            return None
        new = RENAMES[body.kind].get(name)
        if new is not None and new not in body.names:
            return self._say(value, RENAMED, f"`{name}` is `{new}` on vLLM", body, edit=Edit(new), row=row)
        if row.effect == "refuses" or (row.origin == "OpenAI" and row.note.startswith("a 400")):
            self._say(value, REFUSED, f"`{name}`: {row.note}", body, row=row)
        elif row.effect == "ignores" or row.last:
            if row.loses == "nothing":
                message = f"`{name}`: vLLM ignores it, and the answer is the same"
                return self._say(value, NEEDLESS, message, body, edit=Edit(), row=row)
            told = f"vLLM ignores `{name}` ({row.meaning})"
            todo = f"Use {row.replaced_by}." if row.replaced_by else ""
            self._say(value, IGNORED, told, body, row=row, todo=todo)
        return None

    def _guided(self, entries: Values, body: Body) -> Mapping[str, Edit]:
        """guided_json and its like -> structured_outputs, where there is one constraint that is one beyond doubt."""
        edits: dict[str, Edit] = {}
        constraints = [name for name in entries if name in CONSTRAINTS and name in TABLE[body.kind]]
        refinements = [name for name in entries if name in REFINEMENTS and name in TABLE[body.kind]]
        if BACKEND in entries and BACKEND in TABLE[body.kind]:
            told = f"`{BACKEND}`: the server decides (--structured-outputs-config)"
            edit = self._say(entries[BACKEND], GUIDED, told, body, edit=Edit(), severity=Severity.COSMETIC)
            edits |= {} if edit is None else {BACKEND: edit}
        if not constraints:
            return edits
        is_exact = (
            len(constraints) == 1
            and "structured_outputs" not in body.names
            and not any(_may_be_nothing(entries[name]) for name in constraints + refinements)
        )
        first = constraints[0]
        fields = {**CONSTRAINTS, **REFINEMENTS}
        written = ", ".join(f'"{fields[name]}": ...' for name in constraints + refinements)
        told = (
            f"{', '.join(constraints + refinements)}: vLLM ignores it; it is structured_outputs={{{written}}}"
        )
        merged = Edit("structured_outputs", lambda values: _structured(values, constraints + refinements))
        edit = self._say(entries[first], GUIDED, told, body, edit=merged if is_exact else None)
        if edit is not None:
            edits |= {first: edit, **{name: Edit() for name in refinements}}
        return edits

    def _functions(self, entries: Values, body: Body) -> Mapping[str, Edit]:
        """functions, function_call -> tools, tool_choice, where neither history nor answers have the old form."""
        functions, choice = entries.get("functions"), entries.get("function_call")
        if functions is None:
            return {}
        is_exact = (
            "tools" not in body.names
            and not self._is_legacy_throughout
            and not _may_be_nothing(functions)
            and (choice is None or _choice(choice) is not None)
            and not ("function_call" in body.names and choice is None)
        )
        edits = {"functions": Edit("tools", lambda values: _tools(values["functions"]))}
        if choice is not None:
            edits["function_call"] = Edit(
                "tool_choice", lambda values: _choice(values["function_call"]) or values["function_call"]
            )
        said = self._say(functions, FUNCTIONS, "", body, edit=edits["functions"] if is_exact else None)
        return {} if said is None else edits

    def _say(
        self,
        node: cst.CSTNode,
        rule: Rule,
        message: str,
        body: Body,
        *,
        edit: Edit | None = None,
        row: Parameter | None = None,
        todo: str = "",
        severity: Severity | None = None,
    ) -> Edit | None:
        """Report one parameter; return the edit where it is carried out."""
        versions = rule.versions or _versions(row)
        message = message or rule.why
        if edit is not None and not body.doubt:
            self.fixed(node, rule, message, todo, versions=versions, severity=severity)
            return edit
        if body.doubt == UNSEEN or (body.doubt and edit is not None):
            message = f"{message} ({body.doubt})"
        self.left(node, rule, message, todo, versions=versions, severity=severity)
        return None

    # -- what is rewritten

    def leave_Dict(self, original_node: cst.Dict, updated_node: cst.Dict) -> cst.Dict:
        edits = self._edits.get(original_node)
        return edited_dict(updated_node, edits) if edits else updated_node

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        edits = self._edits.get(original_node)
        if edits is None:
            return updated_node
        changed = edited_call(updated_node, edits) if edits else updated_node
        was, now = keyword(original_node, "extra_body"), keyword(changed, "extra_body")
        is_emptied = was is not None and now is not None and not _is_empty(was.value) and _is_empty(now.value)
        return without(changed, ["extra_body"]) if is_emptied else changed


def _entries(node: Dict) -> Values:
    return keyword_entries(node) if isinstance(node, cst.Call) else dict_entries(node)


class _Calls(cst.CSTVisitor):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[cst.Call] = []

    def visit_Call(self, node: cst.Call) -> None:
        if isinstance(node.func, cst.Attribute | cst.Name) and node.args:
            self.calls.append(node)


def _structured(values: Values, names: Iterable[str]) -> cst.Dict:
    fields = {**CONSTRAINTS, **REFINEMENTS}
    return cst.Dict([cst.DictElement(text_node(fields[name]), values[name]) for name in names])


def _tools(functions: cst.BaseExpression) -> cst.BaseExpression:
    """Return functions as tools: each literal one in its place, others by a comprehension."""
    if isinstance(functions, cst.List) and all(isinstance(one, cst.Element) for one in functions.elements):
        wrapped = [one.with_changes(value=_tool(one.value)) for one in functions.elements]
        return functions.with_changes(elements=wrapped)
    each = cst.CompFor(target=cst.Name("function"), iter=functions)
    return cst.ListComp(elt=_tool(cst.Name("function")), for_in=each)


def _tool(function: cst.BaseExpression) -> cst.Dict:
    return cst.Dict(
        [
            cst.DictElement(text_node("type"), text_node("function")),
            cst.DictElement(text_node("function"), function),
        ]
    )


def _is_empty(value: cst.BaseExpression) -> bool:
    """Whether `{}` or `dict()` stands here."""
    return not (
        value.elements
        if isinstance(value, cst.Dict)
        else value.args
        if isinstance(value, cst.Call)
        else [value]
    )


def _choice(value: cst.BaseExpression) -> cst.BaseExpression | None:
    """Return function_call as tool_choice, None where its form is not to be seen."""
    if isinstance(value, cst.SimpleString):
        return value
    if isinstance(value, cst.Dict) and dict_entries(value).keys() == {"name"}:
        return _tool(value)
    return None


def _may_be_nothing(value: cst.BaseExpression) -> bool:
    """Whether a value may be None or False as far as it is written here: no constraint then."""
    match value:
        case cst.Name(value="None" | "False"):
            return True
        case cst.IfExp(body=one, orelse=other):
            return _may_be_nothing(one) or _may_be_nothing(other)
        case cst.BooleanOperation(right=right):
            return _may_be_nothing(right)
        case cst.Call(func=cst.Attribute(attr=cst.Name(value="get"))):
            return True
        case _:
            return False


def _is_harmless(row: Parameter, value: cst.BaseExpression) -> bool:
    """Whether a literal says nothing: None, or what means the same whether it is read or not."""
    if isinstance(value, cst.Name) and value.value == "None":
        return True
    literal = _literal(value)
    return any(type(one) is type(literal) and one == literal for one in row.harmless)


def _literal(value: cst.BaseExpression) -> object:
    """Return a literal's value, Ellipsis where it is none."""
    match value:
        case cst.Name(value="True"):
            return True
        case cst.Name(value="False"):
            return False
        case cst.Integer() | cst.Float() | cst.SimpleString():
            return value.evaluated_value
        case cst.List(elements=elements):
            return [_literal(one.value) for one in elements]
        case cst.Dict(elements=[]):
            return {}
        case _:
            return ...


def _unknown(kind: RequestKind, name: str) -> str:
    known = [one.name for one in TABLE[kind].values() if one.effect != "ignores" and not one.last]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f"; did you mean `{close[0]}`?" if close else ""
    return f"vLLM knows no parameter `{name}` of {kind}, and ignores it{hint}"


def _versions(row: Parameter | None) -> str:
    """Return the releases in which something is lost."""
    if row is None:
        return ""
    if row.last:
        return f"after {row.last}"
    return f"before {row.first}" if row.first and row.effect != "ignores" else ""
