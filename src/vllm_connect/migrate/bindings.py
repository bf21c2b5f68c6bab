"""What the names of one module stand for, by Python's own rules of scope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import libcst as cst
from libcst.metadata import (
    Assignment,
    BaseAssignment,
    BuiltinAssignment,
    ClassScope,
    FunctionScope,
    GlobalScope,
    ImportAssignment,
    MetadataWrapper,
    Scope,
    ScopeProvider,
)

from vllm_connect.migrate.exports import imported
from vllm_connect.migrate.project import UNKNOWN, Project, Trails
from vllm_connect.migrate.trails import Trailing, union

__all__ = ["Bindings"]

# Assignments that are followed for one expression: names that are given each other's values have many ways.
MOST_STEPS = 300
# And one behind the other: each takes a few of Python's own calls.
DEEPEST = 40
# How a name came by its value: it is that of the expression, one of its elements, or of the type that it names.
Way = Literal["value", "element", "type", "unknown"]
# Functions that hand the elements of what they are given to another function.
OF_ELEMENTS = frozenset({"filter", "map", "max", "min", "sorted"})


class Bindings(Trailing):
    """Follows names of a module through its scopes, and through the modules of its project.

    For codemods: `trails(node)` says where an expression comes from, `values(node)` which expressions a name was given.
    Nodes are those of the tree that this was made for, not changed ones.
    """

    def __init__(self, wrapper: MetadataWrapper, file: str, project: Project) -> None:
        super().__init__(project, file)
        self.scopes: Mapping[cst.CSTNode, Scope | None] = wrapper.resolve(ScopeProvider)
        self._sources = _Sources()
        wrapper.module.visit(self._sources)
        self._known: dict[cst.CSTNode, Trails] = {}
        self._given_trails: dict[BaseAssignment, Trails] = {}
        # Assignments on the way from the expression that is asked about, and how many were followed from there.
        self._open: set[BaseAssignment] = set()
        self._steps = 0

    def trails(self, node: cst.CSTNode | None) -> Trails:
        """Return all that an expression may be; empty for None, `?` among them where not all is known."""
        if node is None or self._open:
            return super().trails(node)
        if node not in self._known:
            self._steps = 0
            found = super().trails(node)
            self._known[node] = found if self._steps < MOST_STEPS else UNKNOWN
        return self._known[node]

    def named(self, name: cst.Name) -> Trails:
        """Return where a name comes from: all that it is given within its scope."""
        assignments = self.assignments(name)
        if not assignments:
            return UNKNOWN
        return union(self._followed(one) for one in assignments)

    def _followed(self, assignment: BaseAssignment) -> Trails:
        known = self._given_trails.get(assignment)
        if known is not None:
            return known
        if assignment in self._open:
            return frozenset()  # what it adds to itself is nothing new
        self._steps += 1
        if self._steps > MOST_STEPS or len(self._open) > DEEPEST:
            # None of those on the way is tried again.
            self._given_trails.update(dict.fromkeys(self._open, UNKNOWN))
            return UNKNOWN
        self._open.add(assignment)
        try:
            found = self._assigned(assignment)
        finally:
            self._open.discard(assignment)
        if not self._open:
            self._given_trails.setdefault(assignment, found)
        return found

    def assignments(self, name: cst.Name) -> Sequence[BaseAssignment]:
        """Return all that gives a name its value, in the scope that the name is read in."""
        scope = self.scopes.get(name)
        return () if scope is None else tuple(scope[name.value])

    def standing(self, node: cst.CSTNode, name: str) -> Trails:
        """Return what a name stands for at the place of a node, empty where it stands for nothing yet."""
        scope = self.scopes.get(node)
        return frozenset() if scope is None else union(self._assigned(one) for one in scope[name])

    def values(self, node: cst.BaseExpression) -> tuple[cst.BaseExpression, ...]:
        """Return the expressions that an expression stands for: those a name was given, else itself.

        Empty where a name has values that are not to be seen.
        """
        if not isinstance(node, cst.Name) or node.value in ("None", "True", "False"):
            return (node,)
        found: list[cst.BaseExpression] = []
        for assignment in self.assignments(node):
            source = self._sources.of.get(getattr(assignment, "node", None))  # type: ignore[arg-type]
            if source is None or source[1] != "value":
                return ()
            found.append(source[0])
        return tuple(found)

    def _assigned(self, assignment: BaseAssignment) -> Trails:
        if isinstance(assignment, ImportAssignment):
            return self._imported(assignment)
        if isinstance(assignment, BuiltinAssignment):
            return frozenset({f"builtins.{assignment.name}"})
        if not isinstance(assignment, Assignment):
            return UNKNOWN
        match assignment.node:
            case cst.FunctionDef(name=name) | cst.ClassDef(name=name):
                is_global = isinstance(assignment.scope, GlobalScope)
                return self._resolved([f"{self.file}:{name.value}"]) if is_global else UNKNOWN
            case cst.Param() as parameter if parameter not in self._sources.of:
                return self._parameter(parameter, assignment.scope)
            case node:
                return self._given(node)

    def _given(self, node: cst.CSTNode) -> Trails:
        source = self._sources.of.get(node)
        if source is None:
            return UNKNOWN
        expression, way = source
        if way == "element":
            return self.elements(expression)
        if way == "type":
            return self.annotated(expression)
        return self.trails(expression) if way == "value" else UNKNOWN

    def _imported(self, assignment: ImportAssignment) -> Trails:
        statement = assignment.node
        if not isinstance(statement, cst.Import | cst.ImportFrom):
            return UNKNOWN
        for name, trail in imported(statement, self.file, self.project):
            if name == assignment.name or name.partition(".")[0] == assignment.name:
                return self.project.resolved(trail)
        return UNKNOWN

    def _parameter(self, parameter: cst.Param, scope: Scope) -> Trails:
        owner = _class_of(parameter, scope)
        if owner is not None:
            return self._resolved([f"{self.file}:{owner}"])
        if parameter.annotation is not None:
            return self.annotated(parameter.annotation.annotation)
        # What stands as a default is not all that may come.
        return self.trails(parameter.default) | UNKNOWN


def _class_of(parameter: cst.Param, scope: Scope) -> str | None:
    """Return `Class()` for `self`, `Class` for `cls`, of a method of a module's class."""
    if not isinstance(scope, FunctionScope) or not isinstance(scope.parent, ClassScope):
        return None
    function, owner = scope.node, scope.parent.node
    if not isinstance(function, cst.FunctionDef) or not isinstance(owner, cst.ClassDef):
        return None
    first = (*function.params.posonly_params, *function.params.params)[:1]
    decorators = {one.decorator.value for one in function.decorators if isinstance(one.decorator, cst.Name)}
    if not first or first[0] is not parameter or "staticmethod" in decorators:
        return None
    if not isinstance(scope.parent.parent, GlobalScope):
        return None
    return owner.name.value if "classmethod" in decorators else f"{owner.name.value}()"


def _is_enumeration(node: cst.BaseExpression) -> bool:
    return (
        isinstance(node, cst.Call)
        and isinstance(node.func, cst.Name)
        and node.func.value == "enumerate"
        and bool(node.args)
    )


class _Sources(cst.CSTVisitor):
    """Which expression each assigned name was given."""

    def __init__(self) -> None:
        super().__init__()
        self.of: dict[cst.CSTNode, tuple[cst.BaseExpression, Way]] = {}

    def visit_Assign(self, node: cst.Assign) -> None:
        for target in node.targets:
            self._put(target.target, node.value, "value")

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        if node.value is None:
            self._put(node.target, node.annotation.annotation, "type")
        else:
            self._put(node.target, node.value, "value")

    def visit_NamedExpr(self, node: cst.NamedExpr) -> None:
        self._put(node.target, node.value, "value")

    def visit_WithItem(self, node: cst.WithItem) -> None:
        if node.asname is not None:
            self._put(node.asname.name, node.item, "value")

    def visit_For(self, node: cst.For) -> None:
        self._put(node.target, node.iter, "element")

    def visit_Call(self, node: cst.Call) -> None:
        """`sorted(things, key=lambda one: ...)`: what the function is given is an element."""
        if not isinstance(node.func, cst.Name) or node.func.value not in OF_ELEMENTS:
            return
        plain = [one.value for one in node.args if not isinstance(one.value, cst.Lambda)]
        for one in node.args:
            if isinstance(one.value, cst.Lambda) and len(one.value.params.params) == 1 and plain:
                self.of[one.value.params.params[0]] = (plain[0], "element")

    def visit_CompFor(self, node: cst.CompFor) -> None:
        self._put(node.target, node.iter, "element")

    def _put(self, target: cst.CSTNode, value: cst.BaseExpression, way: Way) -> None:
        if isinstance(target, cst.Name):
            self.of[target] = (value, way)
        elif isinstance(target, cst.Tuple) and way == "element" and _is_enumeration(value):
            self._put(target.elements[-1].value, cst.ensure_type(value, cst.Call).args[0].value, way)
        elif isinstance(target, cst.Tuple | cst.List):
            values = value.elements if isinstance(value, cst.Tuple | cst.List) and way == "value" else ()
            for at, element in enumerate(target.elements):
                one = values[at].value if len(values) == len(target.elements) else value
                self._put(element.value, one, way if values else "unknown")
