"""One request looked over: what leaves in its place, what is said about it, what is refused; pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vllm_connect.facts import ServerFacts
from vllm_connect.facts.parameters import SETTLED, TABLE, Parameter, RequestKind
from vllm_connect.parameters.adaptation import Adaptation
from vllm_connect.parameters.dialect import Dialect
from vllm_connect.parameters.translation import TRANSLATIONS, Change

__all__ = ["Mode", "Verdict", "has_old_reasoning", "is_doubtful", "looked_over", "nearest"]

Mode = Literal["warn", "strict", "off"]

# Losing these changes what an answer is, without a sign of it.
GRAVE = frozenset({"constraint", "tools"})


@dataclass(frozen=True)
class Verdict:
    """What becomes of a request: names that are dropped, values that are put, findings; `refused` names what stops it.

    `reason` says in whole sentences why it is refused, `fix` what to do instead.
    """

    drops: frozenset[str] = frozenset()
    puts: Mapping[str, Any] = field(default_factory=dict)
    adaptations: tuple[Adaptation, ...] = ()
    refused: tuple[str, ...] = ()
    reason: str = ""
    fix: str = ""


def is_doubtful(kind: RequestKind, body: Mapping[str, Any]) -> bool:
    """Whether a request holds anything that the server's kind and version decide about."""
    settled = SETTLED[kind]
    if not settled.issuperset(body) and any(
        name not in settled and not _is_harmless(TABLE[kind].get(name), value) for name, value in body.items()
    ):
        return True
    return kind == "chat" and has_old_reasoning(body.get("messages"))


def has_old_reasoning(messages: Any) -> bool:
    """Whether a history holds reasoning under the name that vLLM gave it before 0.16."""
    if type(messages) is list:
        for message in messages:
            if type(message) is dict and "reasoning_content" in message:
                return True
    return False


def looked_over(kind: RequestKind, body: Mapping[str, Any], facts: ServerFacts | None, mode: Mode) -> Verdict:
    """Return what becomes of a request's body on a server; nothing where it is not known to be a vLLM."""
    if mode == "off" or facts is None:
        return NOTHING
    dialect = Dialect(facts, kind)
    if not dialect.is_vllm:
        return NOTHING
    changes, changed = _translated(body, dialect)
    if mode == "strict" and not any(change.is_needed for change in changes):
        changes, changed = [], dict(body)
    translated = tuple(_translation(kind, change, facts) for change in changes)
    found = tuple(_findings(changed, dialect))
    if mode == "strict":
        told = (*translated, *(finding.adaptation for finding in found))
        return _refusal(told, facts)
    grave = [finding.adaptation for finding in found if finding.is_grave]
    if grave:
        return _refusal(grave, facts)
    dropped = frozenset().union(*(change.drops for change in changes))
    put = {
        name: value for change in changes for name, value in change.puts.items() if changed.get(name) is value
    }
    return Verdict(
        (dropped - put.keys()) & body.keys(), put, (*translated, *(finding.adaptation for finding in found))
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint at the nearest of the known names, empty where none is near."""
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f" Did you mean `{close[0]}`?" if close else ""


# -- the parts


def _translated(body: Mapping[str, Any], dialect: Dialect) -> tuple[list[Change], dict[str, Any]]:
    changed = dict(body)
    changes = []
    for translate in TRANSLATIONS[dialect.kind]:
        change = translate(changed, dialect)
        if change is not None:
            changed = {name: value for name, value in changed.items() if name not in change.drops}
            changed.update(change.puts)
            changes.append(change)
    return changes, changed


@dataclass(frozen=True)
class _Finding:
    adaptation: Adaptation
    is_grave: bool


def _findings(body: Mapping[str, Any], dialect: Dialect) -> Iterator[_Finding]:
    kind, facts = dialect.kind, dialect.facts
    for name, value in body.items():
        row = TABLE[kind].get(name)
        if _is_harmless(row, value) or dialect.knows(name) is not False or dialect.refuses_unknown:
            continue
        if row is None:
            text = f"{_server(facts)} knows no parameter `{name}` of {kind} and ignores it.{nearest(name, dialect.names)}"
            yield _Finding(Adaptation(kind, name, "unknown", "", text), is_grave=False)
        elif not (row.effect == "refuses" and not row.last):  # else the server itself says so
            is_grave = row.loses in GRAVE and not _is_said_otherwise(row, body, dialect)
            yield _Finding(Adaptation(kind, name, "ignored", "", _loss(row, dialect)), is_grave)


def _is_said_otherwise(row: Parameter, body: Mapping[str, Any], dialect: Dialect) -> bool:
    """Whether what is lost stands in the request under a name that is read, or the request itself does without it."""
    if row.name == "functions":
        return body.get("function_call") == "none"
    if row.loses != "constraint" or not row.replaced_by:
        return False
    return body.get("structured_outputs") is not None and dialect.knows("structured_outputs") is not False


def _is_harmless(row: Parameter | None, value: Any) -> bool:
    """Whether a value says nothing: null, or one that means the same whether it is read or not."""
    if value is None:
        return True
    return row is not None and any(type(value) is type(one) and value == one for one in row.harmless)


LOST = {
    "constraint": "; the output would not be constrained",
    "tools": "; the model would not see the tools",
    "effect": "",
    "nothing": "; the answer is the same without it",
}


def _loss(row: Parameter, dialect: Dialect) -> str:
    told = f"{_server(dialect.facts)} ignores `{row.name}`{LOST[row.loses]}."
    told += _since(row, dialect)
    if row.replaced_by:
        told += f" Use {row.replaced_by}."
    return told


def _since(row: Parameter, dialect: Dialect) -> str:
    """Return a sentence on the release that this server would have to be, empty where no release is to blame."""
    if row.first and dialect.has(row.first) is False:
        return f" It came with vLLM {row.first}."
    if row.last:
        return f" The last release that has it is vLLM {row.last}."
    return ""


def _translation(kind: RequestKind, change: Change, facts: ServerFacts) -> Adaptation:
    text = f"{_server(facts)}: {change.old} was sent as {change.new}, which means the same there."
    if change.old == "functions":
        text += " Calls of functions come back as `tool_calls`."
    return Adaptation(kind, change.old, "translated", change.new, text)


def _refusal(told: Iterable[Adaptation], facts: ServerFacts) -> Verdict:
    told = tuple(told)
    if not told:
        return NOTHING
    says = [
        f"{_server(facts)} does not read `{one.parameter}`." if one.became else one.message for one in told
    ]
    instead = [f"Write {one.became} in place of {one.parameter}." for one in told if one.became]
    return Verdict(
        refused=tuple(one.parameter for one in told),
        reason=" ".join([*dict.fromkeys(says), "Nothing was sent."]),
        fix=" ".join([*instead, 'With parameters="off" it is sent as it is.']),
    )


def _server(facts: ServerFacts) -> str:
    version = f"vLLM {facts.version}" if facts.version else "vLLM"
    return f"{facts.url} ({version})"


NOTHING = Verdict()
