"""Two answers to one request compared by what programs rely on: status, shape, why they ended, tools, tokens, time.

Pure; texts of answers are neither compared nor kept.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from vllm_connect.migrate.recording import Broken

__all__ = ["REPORT_VERSION", "Answer", "Compared", "Difference", "Kind", "as_json", "compared", "shape"]

# Raised when a field of the JSON report changes its meaning or goes.
REPORT_VERSION = 1
Kind = Literal["status", "shape", "finish reason", "tool calls", "vectors"]
OK = 200


@dataclass(frozen=True)
class Answer:
    """What one server answered: status, None where there was none; JSON, or what went wrong; and after how long."""

    status: int | None
    seconds: float
    body: Any = None
    error: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether it is what was asked for."""
        return self.status == OK


class Difference(NamedTuple):
    """One thing that a program may stumble over."""

    kind: Kind
    message: str


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One request with both of its answers; `missing`, `changed` and `added` are places in the second answer's shape."""

    line: int
    path: str
    models: tuple[str, str]
    answers: tuple[Answer, Answer] = field(repr=False)
    differences: tuple[Difference, ...] = ()
    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()

    @property
    def was_compared(self) -> bool:
        """Whether both servers answered at all."""
        return None not in (self.answers[0].status, self.answers[1].status)


def compared(line: int, path: str, models: tuple[str, str], old: Answer, new: Answer) -> Compared:
    """Return what two answers to one request have in common and what not."""
    facts: dict[str, Any] = {"line": line, "path": path, "models": models, "answers": (old, new)}
    if not old.is_ok or not new.is_ok:
        return Compared(**facts, differences=tuple(_of_status(old, new)))
    before, after = shape(old.body), shape(new.body)
    missing = tuple(sorted(before.keys() - after.keys()))
    changed = tuple(sorted(place for place in before.keys() & after.keys() if before[place] != after[place]))
    differences = [
        *(Difference("shape", f"{place} is missing") for place in missing),
        *(
            Difference("shape", f"{place} is {_types(after[place])}, was {_types(before[place])}")
            for place in changed
        ),
        *_unequal("finish reason", finish_reasons(old.body), finish_reasons(new.body)),
        *_unequal("tool calls", tool_calls(old.body), tool_calls(new.body)),
        *_unequal("vectors", vector_lengths(old.body), vector_lengths(new.body)),
    ]
    added = tuple(sorted(after.keys() - before.keys()))
    return Compared(**facts, differences=tuple(differences), missing=missing, changed=changed, added=added)


def _of_status(old: Answer, new: Answer) -> Iterator[Difference]:
    if old.status == new.status and old.status is not None:
        return
    told = [f"{one.status or 'no answer'}{f' ({one.error})' if one.error else ''}" for one in (old, new)]
    yield Difference("status", f"{told[1]}, was {told[0]}")


def _unequal(kind: Kind, old: list[str], new: list[str]) -> Iterator[Difference]:
    if old != new:
        yield Difference(kind, f"{', '.join(new) or 'none'}, was {', '.join(old) or 'none'}")


def _types(types: frozenset[str]) -> str:
    return " or ".join(sorted(types))


# -- what is read from an answer


def shape(value: Any) -> dict[str, frozenset[str]]:
    """Return the types by their places, such as `choices[].message.content`; null is what is not there."""
    found: dict[str, set[str]] = {}
    waiting = [("", value)]
    while waiting:
        place, one = waiting.pop()
        if one is None:
            continue
        if place:
            found.setdefault(place, set()).add(_type(one))
        if isinstance(one, dict):
            waiting += [(f"{place}.{name}".removeprefix("."), inner) for name, inner in one.items()]
        elif isinstance(one, list):
            waiting += [(f"{place}[]", inner) for inner in one]
    return {place: frozenset(types) for place, types in found.items()}


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    names = {dict: "object", list: "array", str: "string", int: "number", float: "number"}
    return names.get(type(value), "null")


def _entries(body: Any, name: str) -> list[Mapping[str, Any]]:
    found = body.get(name) if isinstance(body, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def finish_reasons(body: Any) -> list[str]:
    """Return why each part of an answer ended."""
    reasons = [str(one.get("finish_reason")) for one in _entries(body, "choices")]
    if not reasons and isinstance(body, dict) and isinstance(body.get("status"), str):
        reasons = [body["status"]]
    return reasons


def tool_calls(body: Any) -> list[str]:
    """Return the calls of tools by name and the names of their arguments."""
    calls: list[Any] = []
    for choice in _entries(body, "choices"):
        message = choice.get("message")
        calls += [one.get("function") for one in _entries(message, "tool_calls")]
        calls += (
            [message["function_call"]] if isinstance(message, dict) and message.get("function_call") else []
        )
    calls += [one for one in _entries(body, "output") if one.get("type") == "function_call"]
    return [_call(one) for one in calls if isinstance(one, dict)]


def _call(call: Mapping[str, Any]) -> str:
    try:
        arguments = json.loads(call.get("arguments") or "{}")
    except (ValueError, TypeError, RecursionError):
        return f"{call.get('name')}(not JSON)"
    names = sorted(arguments) if isinstance(arguments, dict) else ["no object"]
    return f"{call.get('name')}({', '.join(names)})"


def vector_lengths(body: Any) -> list[str]:
    """Return the lengths of an answer's vectors, each once."""
    vectors = [one.get("embedding") for one in _entries(body, "data")]
    return sorted({str(len(one)) for one in vectors if isinstance(one, list)})


def tokens(body: Any) -> tuple[int, int]:
    """Return the tokens of prompt and answer as the usage counts them, 0 for what it does not."""
    usage = body.get("usage") if isinstance(body, dict) else None
    usage = usage if isinstance(usage, dict) else {}
    prompt = usage.get("prompt_tokens", usage.get("input_tokens"))
    answer = usage.get("completion_tokens", usage.get("output_tokens"))
    return prompt if isinstance(prompt, int) else 0, answer if isinstance(answer, int) else 0


# -- all of them


def as_json(results: Iterable[Compared], broken: Iterable[Broken]) -> dict[str, Any]:
    """Return the report of a run, for programs and as what tables are made of."""
    results = list(results)
    well = [one for one in results if one.answers[0].is_ok and one.answers[1].is_ok]
    return {
        "version": REPORT_VERSION,
        "requests": len(results),
        "compared": sum(one.was_compared for one in results),
        "different": sum(bool(one.differences) for one in results),
        "broken": [one._asdict() for one in broken],
        "differences": _counted(kind for one in results for kind in {two.kind for two in one.differences}),
        "shape": {
            "missing": _counted(place for one in results for place in one.missing),
            "changed": _counted(place for one in results for place in one.changed),
            "added": _counted(place for one in results for place in one.added),
        },
        "tokens": {
            "prompt": _sides(sum(tokens(one.answers[at].body)[0] for one in well) for at in (0, 1)),
            "answer": _sides(sum(tokens(one.answers[at].body)[1] for one in well) for at in (0, 1)),
        },
        "seconds": _sides(_times([one.answers[at].seconds for one in well]) for at in (0, 1)),
        "lines": [_line(one) for one in results],
    }


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())


def _sides(values: Iterable[Any]) -> dict[str, Any]:
    return dict(zip(("from", "to"), values, strict=True))


def _times(seconds: list[float]) -> dict[str, float | None]:
    ordered = sorted(seconds)
    return {
        "median": round(statistics.median(ordered), 4) if ordered else None,
        "p90": round(ordered[min(len(ordered) * 9 // 10, len(ordered) - 1)], 4) if ordered else None,
    }


def _line(one: Compared) -> dict[str, Any]:
    told: dict[str, list[Any]] = {
        "status": [answer.status for answer in one.answers],
        "error": [answer.error for answer in one.answers],
        "seconds": [round(answer.seconds, 4) for answer in one.answers],
        "finish_reasons": [finish_reasons(answer.body) for answer in one.answers],
        "tool_calls": [tool_calls(answer.body) for answer in one.answers],
        "tokens": [list(tokens(answer.body)) for answer in one.answers],
    }
    return {
        "line": one.line,
        "path": one.path,
        "model": _sides(one.models),
        **{name: _sides(values) for name, values in told.items()},
        "differences": [{"kind": two.kind, "message": two.message} for two in one.differences],
        "added": list(one.added),
    }
