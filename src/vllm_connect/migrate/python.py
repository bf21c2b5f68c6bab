"""One Python source through all codemods: in rounds, until none of them changes anything more."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import libcst as cst
from libcst.codemod import CodemodContext
from libcst.codemod.visitors import AddImportsVisitor
from libcst.metadata import MetadataWrapper

from vllm_connect.migrate.codemod import Codemod, Sheet
from vllm_connect.migrate.codemods import CODEMODS
from vllm_connect.migrate.exports import exports_of
from vllm_connect.migrate.finding import Finding, Severity
from vllm_connect.migrate.imports import Import, unused, without
from vllm_connect.migrate.options import Options
from vllm_connect.migrate.project import Project
from vllm_connect.migrate.result import Crashed, Migrated, NotParsed
from vllm_connect.migrate.rule import Rule
from vllm_connect.migrate.usage import Usage

__all__ = ["CRASH", "RULES", "UNPARSED", "migrated", "parsed"]

UNPARSED = Rule(
    "unparsed-file",
    "A file that cannot be read or parsed",
    Severity.BREAKS,
    "it is not looked at",
    "Mend it, or look at it yourself.",
)
CRASH = Rule(
    "crash",
    "A bug in vllm-connect",
    Severity.BREAKS,
    "a part of vllm-connect failed at this file, which is left as it was",
    "Please open an issue with the file, or the part of it that does this.",
)
RULES = (UNPARSED, CRASH)
# Each codemod may see what another one made; more rounds than this mean that two of them undo each other.
MOST_ROUNDS = 8
# LibCST's parser, which is not Python, takes the process with it when its stack is full; CPython itself takes 200.
DEEPEST = 500
BRACKETS = re.compile(r"[()\[\]{}]")


def parsed(text: str) -> cst.Module:
    """Return the tree of a source; raises NotParsed."""
    if _depth(text) > DEEPEST:
        raise NotParsed("it is nested too deeply", 1, 1)
    try:
        return cst.parse_module(text)
    except cst.ParserSyntaxError as wrong:
        is_old = re.search(
            r"^\s*(print\s+[\"'\w]|exec\s+[\"'])|^\s*except\s+[\w.]+\s*,\s*\w+\s*:", text, re.MULTILINE
        )
        told = (
            "this is Python 2" if is_old else "this is not the Python that this version of vllm-connect reads"
        )
        raise NotParsed(told, wrong.raw_line, wrong.raw_column + 1) from None
    except RecursionError:
        raise NotParsed("it is nested too deeply", 1, 1) from None


def migrated(
    text: str,
    file: str,
    project: Project,
    options: Options,
    codemods: Sequence[type[Codemod]] = CODEMODS,
) -> Migrated:
    """Return a source as it is for vLLM; raises NotParsed and Crashed, and the file is to be left as it is then."""
    now, fixed, left, usages = text, list[Finding](), list[Finding](), list[Usage]()
    needless_before: frozenset[Import] | None = None
    for _ in range(MOST_ROUNDS):
        sheet = _sheet(now, file, project, options)
        changed = _one_round(sheet, now, codemods)
        needless = unused(sheet.module, sheet.bindings.scopes)
        needless_before = needless if needless_before is None else needless_before
        at_first = _lines_at_first(text, now)
        found = [replace(one, line=at_first(one.line)) for one in sheet.findings]
        usages = [replace(one, line=at_first(one.line)) for one in sheet.usages]
        fixed += [one for one in found if one.is_fixed]
        left = [one for one in found if not one.is_fixed]
        if changed == now:
            break
        now = changed
    else:
        raise Crashed("the codemods do not come to an end")
    if now != text and not file.endswith("__init__.py"):
        # What was not read before is there for another reason than to be read here.
        kept = {name for _, name in needless_before or ()}
        handed_on = _handed_on(project)
        gone = {one for one in needless if one[1] not in kept and f"{file}:{one[1]}" not in handed_on}
        now = without(sheet.module, frozenset(gone)).code
    findings = sorted(dict.fromkeys([*fixed, *left]), key=lambda one: (one.line, one.column, one.rule))
    return Migrated(now, tuple(findings), tuple(usages))


def _handed_on(project: Project) -> frozenset[str]:
    """Return all trails that modules of a project take from each other."""
    return frozenset().union(*(trails for one in project.modules.values() for trails in one.values()))


def _sheet(text: str, file: str, project: Project, options: Options) -> Sheet:
    module = parsed(text)
    own = Project({**project.modules, file: {}})
    own.modules[file] = exports_of(module, file, own)
    return Sheet(MetadataWrapper(module, unsafe_skip_copy=True), file, own, options)


def _one_round(sheet: Sheet, text: str, codemods: Sequence[type[Codemod]]) -> str:
    words = text.lower()
    wanted = [one for one in codemods if not one.words or any(word in words for word in one.words)]
    walk = _Walk([one(sheet) for one in wanted])
    changed = sheet.module.visit(walk)
    for target, name in sheet.imports:
        context = CodemodContext()
        AddImportsVisitor.add_needed_import(context, target, name or None)
        changed = AddImportsVisitor(context).transform_module(changed)
    return changed.code


def _lines_at_first(first: str, now: str) -> Callable[[int], int]:
    """Return the line of the first text that a line of the present one comes from."""
    if first == now:
        return lambda line: line
    old, new = first.splitlines(), now.splitlines()
    blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()

    def at_first(line: int) -> int:
        for _, old_start, old_end, new_start, new_end in blocks:
            if new_start <= line - 1 < new_end:
                return min(old_start + line - 1 - new_start, max(old_end - 1, old_start)) + 1
        return min(line, len(old))

    return at_first


def _depth(text: str) -> int:
    """Return how deeply brackets are nested, those in texts and comments among them."""
    deepest = depth = 0
    for bracket in BRACKETS.finditer(text):
        depth = depth + 1 if bracket[0] in "([{" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    return deepest


Visit = Callable[[Any], bool | None]
Leave = Callable[[Any, Any], Any]


class _Walk(cst.CSTTransformer):
    """One walk over a tree for all codemods: a node that one of them returned is handed to the next."""

    def __init__(self, codemods: Iterable[Codemod]) -> None:
        super().__init__()
        self._codemods = tuple(codemods)
        self._visits: dict[type[cst.CSTNode], list[tuple[str, Visit]]] = {}
        self._leaves: dict[type[cst.CSTNode], list[tuple[str, Leave]]] = {}

    def on_visit(self, node: cst.CSTNode) -> bool:
        kind = type(node)
        visits = self._visits.get(kind)
        if visits is None:
            visits = self._visits[kind] = self._methods(f"visit_{kind.__name__}")
            self._leaves[kind] = self._methods(f"leave_{kind.__name__}")
        for name, visit in visits:
            with _Named(name):
                visit(node)
        return True

    def on_leave(self, original_node: Any, updated_node: Any) -> Any:
        for name, leave in self._leaves[type(original_node)]:
            with _Named(name):
                updated_node = leave(original_node, updated_node)
            if not isinstance(updated_node, type(original_node)):
                break  # it became something else, which the others see in the next round
        return updated_node

    def _methods(self, name: str) -> list[tuple[str, Any]]:
        return [(type(one).__name__, getattr(one, name)) for one in self._codemods if hasattr(one, name)]


class _Named:
    """Gives an exception the name of the codemod that it came from."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, Crashed):
            raise Crashed(f"{self._name}: {type(error).__name__}: {error}") from error
