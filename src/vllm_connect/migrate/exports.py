"""A first look at one module: what it hands on to others, by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import libcst as cst

from vllm_connect.migrate.project import UNKNOWN, Exports, Project, Trails
from vllm_connect.migrate.trails import Trailing, union

__all__ = ["exports_of"]


def exports_of(module: cst.Module, file: str, project: Project) -> Exports:
    """Return what a module's names lead to; a name that is given several values has the trails of all."""
    found = _Found(project, file)
    for statement in _statements(module.body):
        found.take(statement)
    return {name: frozenset(trails) for name, trails in found.trails_by_name.items() if trails - UNKNOWN}


class _Found(Trailing):
    def __init__(self, project: Project, file: str) -> None:
        super().__init__(Project(project.modules), file)
        self.trails_by_name: dict[str, set[str]] = {}
        self._locals: dict[str, Trails] = {}

    def named(self, name: cst.Name) -> Trails:
        local = self._locals.get(name.value)
        return frozenset({f"{self.file}:{name.value}"}) if local is None else local

    def _resolved(self, trails: Iterable[str]) -> Trails:
        # The tables are still being made: trails stay as they are, and are followed when all is known.
        return frozenset(trails)

    def take(self, statement: cst.CSTNode) -> None:
        """Take in one statement of the module."""
        match statement:
            case cst.Import() | cst.ImportFrom():
                for name, trail in imported(statement, self.file, self.project):
                    self._put(name, {trail})
            case cst.FunctionDef(name=name):
                self._put(f"{name.value}()", self._returned(statement))
            case cst.ClassDef(name=name, bases=bases):
                self._class(name.value, statement)
                # What a class of the project does not have, its bases may.
                for base in bases:
                    self._put(f"{name.value}().super", {f"{one}()" for one in self.trails(base.value)})
            case _:
                for target, trails in self._given(statement):
                    if isinstance(target, cst.Name):
                        self._put(target.value, trails)

    def _put(self, name: str, trails: Iterable[str]) -> None:
        self.trails_by_name.setdefault(name, set()).update(set(trails) - {f"{self.file}:{name}"})

    def _given(self, statement: cst.CSTNode) -> Iterator[tuple[cst.BaseExpression, Trails]]:
        match statement:
            case cst.Assign(targets=targets, value=value):
                for target in targets:
                    yield target.target, self.trails(value)
            case cst.AnnAssign(target=target, annotation=annotation, value=value):
                known = frozenset() if _is_field(value) else self.trails(value) - UNKNOWN
                yield target, known or self.annotated(annotation.annotation)

    def _returned(self, function: cst.FunctionDef) -> Trails:
        """Return what a function returns: by its annotation, else by what stands behind `return`."""
        if function.returns is not None:
            by_annotation = self.annotated(function.returns.annotation) - UNKNOWN
            if by_annotation:
                return by_annotation
        with_locals = list(_statements(function.body.body))
        self._locals = self._parameters(function)
        try:
            for statement in with_locals:
                for target, trails in self._given(statement):
                    if isinstance(target, cst.Name):
                        self._locals[target.value] = self._locals.get(target.value, frozenset()) | trails
            ends = [one.value for one in with_locals if isinstance(one, cst.Return)]
            ends += [
                one.value.value
                for one in with_locals
                if isinstance(one, cst.Expr)
                and isinstance(one.value, cst.Yield)
                and isinstance(one.value.value, cst.BaseExpression)
            ]
            return union(self.trails(one) for one in ends)
        finally:
            self._locals = {}

    def _parameters(self, function: cst.FunctionDef) -> dict[str, Trails]:
        listed = function.params
        return {
            one.name.value: UNKNOWN if one.annotation is None else self.annotated(one.annotation.annotation)
            for one in (*listed.posonly_params, *listed.params, *listed.kwonly_params)
        }

    def _class(self, name: str, node: cst.ClassDef) -> None:
        for statement in _statements(node.body.body):
            if isinstance(statement, cst.FunctionDef):
                self._method(name, statement)
                continue
            for target, trails in self._given(statement):
                if isinstance(target, cst.Name):
                    self._put(f"{name}().{target.value}", trails)
                    self._put(f"{name}.{target.value}", trails)

    def _method(self, name: str, function: cst.FunctionDef) -> None:
        is_property = any(
            isinstance(one.decorator, cst.Name | cst.Attribute) and _last(one.decorator) in PROPERTIES
            for one in function.decorators
        )
        call = "" if is_property else "()"
        self._put(f"{name}().{function.name.value}{call}", self._returned(function))
        self._locals = self._parameters(function)
        own = function.params.params[:1]
        if own:
            self._locals[own[0].name.value] = frozenset({f"{self.file}:{name}()"})
        try:
            for statement in _statements(function.body.body):
                for target, trails in self._given(statement):
                    match target:
                        case cst.Attribute(value=cst.Name(value=owner), attr=attr):
                            if own and owner == own[0].name.value:
                                self._put(f"{name}().{attr.value}", trails)
                        case cst.Name(value=local):
                            self._locals[local] = trails
        finally:
            self._locals = {}


def _is_field(value: cst.BaseExpression | None) -> bool:
    """Whether a class describes a field by this, as dataclasses, attrs and pydantic do: the annotation says what it is."""
    return isinstance(value, cst.Call) and _last(value.func) in FIELDS


FIELDS = frozenset({"field", "Field", "ib", "attrib", "PrivateAttr"})
PROPERTIES = frozenset({"property", "cached_property"})


def _last(node: cst.BaseExpression) -> str:
    return (
        node.attr.value
        if isinstance(node, cst.Attribute)
        else node.value
        if isinstance(node, cst.Name)
        else ""
    )


def imported(node: cst.Import | cst.ImportFrom, file: str, project: Project) -> Iterator[tuple[str, str]]:
    """Yield the names that an import makes, each with its trail."""
    if isinstance(node.names, cst.ImportStar):
        return
    for alias in node.names:
        dotted = dotted_name(alias.name)
        if isinstance(node, cst.ImportFrom):
            module = "" if node.module is None else dotted_name(node.module)
            name = alias.evaluated_alias or dotted
            yield name, project.imported(module, dotted, file, len(node.relative))
        else:
            whole = dotted if alias.asname is not None else dotted.partition(".")[0]
            inner = project.found(whole, file)
            yield alias.evaluated_alias or whole, whole if inner is None else f"{inner}:"


def dotted_name(node: cst.CSTNode) -> str:
    """Return a name with dots as it is written."""
    if isinstance(node, cst.Attribute):
        return f"{dotted_name(node.value)}.{node.attr.value}"
    return node.value if isinstance(node, cst.Name) else ""


def _statements(body: Iterable[cst.CSTNode]) -> Iterator[cst.CSTNode]:
    """Yield statements and those that stand within conditions, loops and the like; functions and classes are left shut."""
    for statement in body:
        if isinstance(statement, cst.SimpleStatementLine | cst.SimpleStatementSuite):
            yield from statement.body
        elif isinstance(statement, cst.FunctionDef | cst.ClassDef):
            yield statement
        else:
            if isinstance(statement, cst.With):
                for item in statement.items:
                    if item.asname is not None:
                        yield cst.Assign([cst.AssignTarget(item.asname.name)], item.item)
            for child in statement.children:
                if isinstance(child, cst.BaseSuite):
                    yield from _statements(child.body)
                elif isinstance(
                    child, cst.If | cst.Else | cst.ExceptHandler | cst.Finally | cst.ExceptStarHandler
                ):
                    yield from _statements([child])
