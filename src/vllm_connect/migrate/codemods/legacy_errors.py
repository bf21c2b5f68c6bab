"""`openai.error` of before 1.0 -> the errors of today, in handlers that catch what they caught."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import libcst as cst
from libcst.metadata import ImportAssignment

from vllm_connect.migrate.codemod import Codemod, Sheet
from vllm_connect.migrate.exports import dotted_name
from vllm_connect.migrate.finding import Severity
from vllm_connect.migrate.legacy import ERRORS, legacy_error
from vllm_connect.migrate.rule import Rule

__all__ = ["LegacyErrors"]

ERROR = Rule(
    "legacy-error",
    "Errors of openai before 1.0",
    Severity.BREAKS,
    "openai.error is gone: naming one of its classes raises AttributeError where an error was to be caught",
    "Write the error classes of today; see docs/errors.md.",
)

MODULE = "openai.error"
# Classes of today that have others below them; a handler of theirs stands behind those.
HEIGHTS = {"APIConnectionError": 1, "APIError": 2, "OpenAIError": 3}
WITHOUT_STATUS = frozenset({*HEIGHTS, "APITimeoutError"})
TODAY = frozenset(name for names in ERRORS.values() for name in names) | {
    "APIStatusError",
    "UnprocessableEntityError",
}
# What 0.x had on an error, and where it is on one that has a status.
ATTRIBUTES = {
    "http_status": "status_code",
    "http_body": "response.text",
    "headers": "response.headers",
    "json_body": "body",
    "user_message": "message",
    "_message": "message",
}
# Those that an error has without an answer too.
EVERYWHERE = frozenset({"json_body", "user_message", "_message"})


class LegacyErrors(Codemod):
    """Classes, handlers, and what is read from an error."""

    rules = (ERROR,)
    words = ("openai",)

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(sheet)
        self._handled: list[tuple[str, Sequence[str]]] = []
        # The quotes of the texts that are formatted here: Python before 3.12 takes them for the end.
        self._quotes: list[str] = []

    # -- classes

    def leave_Attribute(
        self, original_node: cst.Attribute, updated_node: cst.Attribute
    ) -> cst.BaseExpression:
        is_class = original_node.attr.value[:1].isupper()
        name = legacy_error(self.trails(original_node)) if is_class else None
        if name is None:
            return self._of_an_error(original_node, updated_node)
        if name not in ERRORS:
            if name != "ErrorObject":
                self.left(original_node, ERROR, f"`{name}` is gone: nothing raises it")
            return updated_node
        self.fixed(original_node, ERROR, _told(name))
        return self._today(original_node, ERRORS[name][0])

    def _today(self, node: cst.Attribute, name: str) -> cst.Attribute:
        """Return `openai.NAME` by the name that the module is known by at this place."""
        inner = node.value
        if isinstance(inner, cst.Attribute):
            inner = inner.value
        if self.trails(inner) != {"openai"}:
            self.add_import("openai")
            inner = cst.Name("openai")
        return node.with_changes(value=inner, attr=cst.Name(name))

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.Name:
        """Rename a class that is imported by its name."""
        name = self._imported(original_node)
        return updated_node if name is None else updated_node.with_changes(value=ERRORS[name][0])

    def _imported(self, node: cst.Name) -> str | None:
        if node.value not in ERRORS:
            return None
        assignments = self.sheet.bindings.assignments(node)
        if not assignments or not all(_is_of_errors(one, node.value) for one in assignments):
            return None
        return node.value

    def leave_ImportFrom(
        self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom
    ) -> cst.ImportFrom | cst.RemovalSentinel:
        if isinstance(original_node.names, cst.ImportStar) or original_node.relative:
            return updated_node
        module = "" if original_node.module is None else dotted_name(original_node.module)
        if module == MODULE and all(one.evaluated_name in ERRORS for one in original_node.names):
            self.fixed(original_node, ERROR)
            names = _renamed(original_node.names)
            return updated_node.with_changes(module=cst.Name("openai"), names=names)
        if module == MODULE:
            self.left(original_node, ERROR)
        if module == "openai":
            return self._from_openai(original_node, updated_node)
        return updated_node

    def _from_openai(
        self, node: cst.ImportFrom, updated: cst.ImportFrom
    ) -> cst.ImportFrom | cst.RemovalSentinel:
        """Rename InvalidRequestError, and take out `error` when nothing uses it any more."""
        assert not isinstance(node.names, cst.ImportStar)
        kept = [one for one in node.names if one.evaluated_name != "error" or self._is_used(one)]
        old = next((one for one in kept if one.evaluated_name == "InvalidRequestError"), None)
        if old is not None:
            self.fixed(old, ERROR, _told("InvalidRequestError"))
        elif len(kept) == len(node.names):
            return updated
        return updated.with_changes(names=_renamed(kept)) if kept else cst.RemoveFromParent()

    def _is_used(self, alias: cst.ImportAlias) -> bool:
        scope = self.sheet.bindings.scopes.get(alias)
        name = alias.evaluated_alias or alias.evaluated_name
        if scope is None or self.sheet.file.endswith("__init__.py"):
            return True
        return any(len(list(one.references)) for one in scope[name])

    def leave_Import(self, original_node: cst.Import, updated_node: cst.Import) -> cst.Import:
        """`import openai.error` -> `import openai`."""
        names = [
            one.with_changes(name=cst.Name("openai"))
            if one.evaluated_name == MODULE and one.asname is None
            else one
            for one in updated_node.names
        ]
        if any(one is not other for one, other in zip(names, updated_node.names, strict=True)):
            self.fixed(original_node, ERROR)
            return updated_node.with_changes(names=names)
        return updated_node

    # -- handlers

    def visit_ExceptHandler(self, node: cst.ExceptHandler) -> None:
        name = node.name.name.value if node.name and isinstance(node.name.name, cst.Name) else ""
        self._handled.append((name, [one for _, classes in self._classes(node.type) for one in classes]))

    def leave_ExceptHandler(
        self, original_node: cst.ExceptHandler, updated_node: cst.ExceptHandler
    ) -> cst.ExceptHandler:
        self._handled.pop()
        caught = self._caught(original_node.type)
        return updated_node if caught is None else updated_node.with_changes(type=caught)

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        self._look_at_construction(original_node)
        match original_node.args:
            case [_, cst.Arg(value=classes)] if dotted_name(original_node.func) == "isinstance":
                caught = self._caught(classes)
                if caught is not None:
                    first, second = updated_node.args
                    return updated_node.with_changes(args=[first, second.with_changes(value=caught)])
        return updated_node

    def _look_at_construction(self, call: cst.Call) -> None:
        if dotted_name(call.func).rpartition(".")[2] not in TODAY | ERRORS.keys():
            return
        trails = self.trails(call.func)
        name = legacy_error(trails)
        of_today = {one.removeprefix("openai.") for one in trails if one.removeprefix("openai.") in TODAY}
        is_bare = not any(one.keyword and one.keyword.value in ("response", "request") for one in call.args)
        if name not in (None, "OpenAIError") or (of_today - {"OpenAIError"} and is_bare):
            self.left(
                call,
                ERROR,
                "an error of openai is made here, which takes other arguments today",
                "Give it message, response= and body=, or raise an error of your own.",
            )

    def _caught(self, node: cst.BaseExpression | None) -> cst.BaseExpression | None:
        """Return the classes of a handler as they are today, None where nothing changes."""
        found = list(self._classes(node))
        if not any(self._is_old(one) for one, _ in found):
            return None
        new: dict[str, cst.BaseExpression] = {}
        for one, classes in found:
            for name in classes:
                written = self._written(one, name) if self._is_old(one) else one
                new[cst.Module([]).code_for_node(written)] = written
            if not classes:
                new[cst.Module([]).code_for_node(one)] = one
        if len(new) == 1:
            return next(iter(new.values()))
        if isinstance(node, cst.Tuple) and len(new) == len(node.elements):
            elements = zip(node.elements, new.values(), strict=True)
            return node.with_changes(elements=[old.with_changes(value=value) for old, value in elements])
        return cst.Tuple([cst.Element(one) for one in new.values()])

    def _is_old(self, node: cst.BaseExpression) -> bool:
        name = legacy_error(self.trails(node))
        return name is not None

    def _written(self, node: cst.BaseExpression, name: str) -> cst.BaseExpression:
        if isinstance(node, cst.Attribute):
            return self._today(node, name)
        is_alias = isinstance(node, cst.Name) and node.value not in ERRORS
        return node if is_alias else cst.Name(name)

    def _classes(
        self, node: cst.BaseExpression | None
    ) -> Iterator[tuple[cst.BaseExpression, tuple[str, ...]]]:
        """Yield the classes that are caught, each with its names of today; none for those that are not openai's."""
        if node is None:
            return
        for one in [element.value for element in node.elements] if isinstance(node, cst.Tuple) else [node]:
            trails = self.trails(one)
            name = legacy_error(trails)
            today = {trail.removeprefix("openai.") for trail in trails}
            if name is not None:
                yield one, ERRORS.get(name, ())
            else:
                yield one, tuple(today) if today <= TODAY else ()

    def leave_Try(self, original_node: cst.Try, updated_node: cst.Try) -> cst.Try:
        """Put handlers of a class behind those of classes below it: none was below another before 1.0."""
        heights = [self._height(one) for one in original_node.handlers]
        is_old = any(
            self._is_old(one) for handler in original_node.handlers for one, _ in self._classes(handler.type)
        )
        if not is_old:
            return updated_node
        pairs = list(zip(heights, updated_node.handlers, strict=True))
        ordered: list[cst.ExceptHandler] = []
        for is_movable, run in groupby(
            pairs, key=lambda one: one[0] is not None and one[0] < HEIGHTS["OpenAIError"]
        ):
            several = list(run)
            if is_movable:
                several.sort(key=lambda one: one[0] or 0)
            ordered += [handler for _, handler in several]
        return updated_node.with_changes(handlers=ordered)

    def _height(self, handler: cst.ExceptHandler) -> int | None:
        """Return how many kinds of openai's classes a handler catches at once, None for one that catches others."""
        found = list(self._classes(handler.type))
        if not found or not all(classes for _, classes in found):
            return None
        return max(HEIGHTS.get(name, 0) for _, classes in found for name in classes)

    # -- what is read from an error

    def _of_an_error(self, node: cst.Attribute, updated: cst.Attribute) -> cst.BaseExpression:
        name = node.attr.value
        if name not in ATTRIBUTES or not isinstance(node.value, cst.Name):
            return updated
        variable = node.value.value
        classes = next((classes for one, classes in reversed(self._handled) if one == variable), ())
        if not classes:
            return updated
        new = ATTRIBUTES[name]
        is_there = not WITHOUT_STATUS & set(classes) or (name in EVERYWHERE and "OpenAIError" not in classes)
        told = f"`{name}` of an error is `{new}` today"
        if is_there:
            self.fixed(node, ERROR, told)
            return cst.parse_expression(f"{variable}.{new}")
        if name == "http_status":
            self.fixed(node, ERROR, f"{told}, and only where the server answered")
            quote = "'" if self._quotes[-1:] == ['"'] else '"'
            return cst.parse_expression(f"getattr({variable}, {quote}{new}{quote}, None)")
        self.left(node, ERROR, f"{told}, and only where the server answered", "Ask for it by getattr().")
        return updated

    def visit_FormattedString(self, node: cst.FormattedString) -> None:
        self._quotes.append(node.end[:1])

    def leave_FormattedString(
        self, original_node: cst.FormattedString, updated_node: cst.FormattedString
    ) -> cst.FormattedString:
        self._quotes.pop()
        return updated_node


def _told(name: str) -> str:
    new = ERRORS[name]
    if name == "APIError":
        return "`APIError` is the base of all errors of a request today: it catches more than it did"
    return f"`openai.error.{name}` is {' and '.join(f'`openai.{one}`' for one in new)} today"


def _is_of_errors(assignment: object, name: str) -> bool:
    if not isinstance(assignment, ImportAssignment) or not isinstance(assignment.node, cst.ImportFrom):
        return False
    node = assignment.node
    if node.relative or node.module is None or isinstance(node.names, cst.ImportStar):
        return False
    module = dotted_name(node.module)
    if module != MODULE and (module, name) != ("openai", "InvalidRequestError"):
        return False
    is_whole = module == "openai" or all(one.evaluated_name in ERRORS for one in node.names)
    return is_whole and any(one.evaluated_name == name and one.asname is None for one in node.names)


def _renamed(aliases: Sequence[cst.ImportAlias]) -> list[cst.ImportAlias]:
    """Return names of an import as they are today, in the layout that they have."""
    renamed: list[cst.ImportAlias] = []
    comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    for one in aliases:
        first, *more = ERRORS.get(one.evaluated_name, (one.evaluated_name,))
        several = [one.with_changes(name=cst.Name(first))]
        if one.asname is None and more:
            several = [several[0].with_changes(comma=comma), one.with_changes(name=cst.Name(more[0]))]
        renamed += several
    if len(renamed) > 1 and not isinstance(renamed[-2].comma, cst.Comma):
        renamed[-2] = renamed[-2].with_changes(comma=comma)
    return renamed
