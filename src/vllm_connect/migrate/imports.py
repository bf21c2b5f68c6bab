"""Imports that nothing uses any more once a module is migrated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import libcst as cst
from libcst.metadata import ImportAssignment, Scope

from vllm_connect.migrate.exports import dotted_name

__all__ = ["Import", "unused", "without"]

# The statement without layout, and the name that it makes.
Import = tuple[str, str]


def unused(module: cst.Module, scopes: Mapping[cst.CSTNode, Scope | None]) -> frozenset[Import]:
    """Return the imports at the top of a module whose names nothing reads, as far as names are followed."""
    return frozenset(
        (_origin(statement, alias), _name(alias))
        for statement, alias in _aliases(module)
        if not _is_read(statement, alias, scopes)
    )


def without(module: cst.Module, gone: frozenset[Import]) -> cst.Module:
    """Return a module without these imports; those with a `noqa`, and what `__all__` may name, stay."""
    named = {name for _, name in gone if f'"{name}"' in module.code or f"'{name}'" in module.code}
    gone = frozenset(one for one in gone if one[1] not in named)
    body = [_thinned(statement, gone) for statement in module.body]
    return module.with_changes(body=[one for one in body if one is not None])


def _thinned(
    line: cst.SimpleStatementLine | cst.BaseCompoundStatement, gone: frozenset[Import]
) -> cst.SimpleStatementLine | cst.BaseCompoundStatement | None:
    """Return a line without names that are gone, None where nothing is left of it."""
    if not isinstance(line, cst.SimpleStatementLine) or len(line.body) != 1:
        return line
    statement = line.body[0]
    comment = line.trailing_whitespace.comment
    if not isinstance(statement, cst.Import | cst.ImportFrom) or isinstance(statement.names, cst.ImportStar):
        return line
    if comment is not None and "noqa" in comment.value:
        return line
    kept = [one for one in statement.names if (_origin(statement, one), _name(one)) not in gone]
    if len(kept) == len(statement.names):
        return line
    if not kept:
        return None
    if kept[-1] is not statement.names[-1]:
        kept[-1] = kept[-1].with_changes(comma=statement.names[-1].comma)
    return line.with_changes(body=[statement.with_changes(names=kept)])


def _aliases(module: cst.Module) -> Iterator[tuple[cst.Import | cst.ImportFrom, cst.ImportAlias]]:
    for line in module.body:
        if isinstance(line, cst.SimpleStatementLine) and len(line.body) == 1:
            statement = line.body[0]
            if isinstance(statement, cst.Import | cst.ImportFrom) and not isinstance(
                statement.names, cst.ImportStar
            ):
                yield from ((statement, alias) for alias in statement.names)


def _origin(statement: cst.Import | cst.ImportFrom, alias: cst.ImportAlias) -> str:
    module = ""
    if isinstance(statement, cst.ImportFrom):
        module = "." * len(statement.relative) + (
            "" if statement.module is None else dotted_name(statement.module)
        )
    return f"{module} {dotted_name(alias.name)}"


def _name(alias: cst.ImportAlias) -> str:
    return alias.evaluated_alias or dotted_name(alias.name).partition(".")[0]


def _is_read(
    statement: cst.Import | cst.ImportFrom,
    alias: cst.ImportAlias,
    scopes: Mapping[cst.CSTNode, Scope | None],
) -> bool:
    scope = scopes.get(alias)
    if scope is None:
        return True
    names = {_name(alias), alias.evaluated_alias or dotted_name(alias.name)}
    found = [one for name in names for one in scope[name]]
    return any(
        list(one.references) for one in found if isinstance(one, ImportAssignment) and one.node is statement
    )
