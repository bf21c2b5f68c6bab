"""The base of every codemod: rewrites a tree by what its names stand for, and says what it did and what it left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import libcst as cst
from libcst.metadata import CodePosition, CodeRange, MetadataWrapper, PositionProvider

from vllm_connect.migrate.bindings import Bindings
from vllm_connect.migrate.finding import Finding, Severity
from vllm_connect.migrate.options import Options
from vllm_connect.migrate.project import Project, Trails
from vllm_connect.migrate.rule import Rule
from vllm_connect.migrate.usage import Usage

__all__ = ["Codemod", "Sheet"]

# Functions that call their first argument with the keywords that they are given.
HANDING_ON = frozenset({"asyncio.to_thread", "functools.partial"})


@dataclass
class Sheet:
    """One module under change: its tree, what its names stand for, and what was found so far.

    All codemods share it in one walk over the tree; what one of them changes, the others see in the next round.
    """

    wrapper: MetadataWrapper
    file: str
    project: Project
    options: Options
    findings: list[Finding] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)
    imports: dict[tuple[str, str], None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bindings = Bindings(self.wrapper, self.file, self.project)
        self._positions: Any = None

    @property
    def module(self) -> cst.Module:
        """The tree as it was read."""
        return self.wrapper.module

    def position(self, node: cst.CSTNode) -> CodePosition:
        """Return where a node of the tree as it was read begins."""
        if self._positions is None:
            self._positions = self.wrapper.resolve(PositionProvider)
        found: CodeRange | None = self._positions.get(node)
        return CodePosition(1, 0) if found is None else found.start


class Codemod:
    """One subject of a migration.

    A subclass has LibCST's methods: `visit_Call(node)` and the like see nodes as they were read, `leave_Call(original,
    updated)` returns what stands in their place. Ask `trails` and `values` about original nodes only. What a method
    cannot rewrite exactly it leaves and reports. An exception is reported as a crash, and the file is left as it was.
    `words` are those without one of which a file is none of its business, in lower case; empty for any file.
    """

    rules: ClassVar[Sequence[Rule]] = ()
    words: ClassVar[Sequence[str]] = ()

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.options = sheet.options
        self.trails: Callable[[cst.CSTNode | None], Trails] = sheet.bindings.trails
        self.values = sheet.bindings.values

    def called(self, call: cst.Call) -> Trails:
        """Return what a call calls in the end: `partial(f, ...)` and its like hand their keywords on to `f`."""
        trails = self.trails(call.func)
        given = call.args[0] if call.args and call.args[0].keyword is None and not call.args[0].star else None
        is_pool = isinstance(call.func, cst.Attribute) and call.func.attr.value == "submit"
        if given is None or not (is_pool or (trails and trails <= HANDING_ON)):
            return trails
        return self.trails(given.value)

    def fixed(self, node: cst.CSTNode, rule: Rule, message: str = "", todo: str = "", **more: Any) -> None:
        """Report what this codemod rewrites here; `todo` is what is left for people nevertheless."""
        self._report(node, rule, message, todo, is_fixed=True, **more)

    def left(self, node: cst.CSTNode, rule: Rule, message: str = "", todo: str = "", **more: Any) -> None:
        """Report what is not rewritten."""
        self._report(node, rule, message, todo or rule.todo, is_fixed=False, **more)

    def _report(
        self,
        node: cst.CSTNode,
        rule: Rule,
        message: str,
        todo: str,
        *,
        is_fixed: bool,
        severity: Severity | None = None,
        versions: str | None = None,
    ) -> None:
        at = self.sheet.position(node)
        self.sheet.findings.append(
            Finding(
                path=self.sheet.file,
                line=at.line,
                column=at.column + 1,
                rule=rule.id,
                severity=rule.severity if severity is None else severity,
                message=message or rule.why,
                todo=todo,
                is_fixed=is_fixed,
                versions=rule.versions if versions is None else versions,
            )
        )

    def uses(
        self,
        node: cst.CSTNode,
        what: Literal["endpoint", "model", "parameter"],
        name: str,
        **more: Any,
    ) -> None:
        """Note what the code asks of a server here."""
        line = self.sheet.position(node).line
        self.sheet.usages.append(Usage(path=self.sheet.file, line=line, what=what, name=name, **more))

    def add_import(self, module: str, name: str = "") -> None:
        """Have the module import a name of another one, or the other module itself, unless it does."""
        self.sheet.imports[module, name] = None
