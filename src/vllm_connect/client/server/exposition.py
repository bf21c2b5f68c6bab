"""Prometheus' text format, as far as its samples go: one name, labels and value a line.

https://prometheus.io/docs/instrumenting/exposition_formats/ ; comments (HELP and TYPE among them), timestamps and
OpenMetrics' exemplars are read over. A text is taken as a whole or not at all: one line that is none is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Sample", "parse_samples"]

# vLLM's is 80 kB, and some 10 kB more for each further engine.
LARGEST_TEXT = 16 * 1024 * 1024
SHOWN = 80

# Possessive throughout: no line, however strange, is looked at twice.
SPACE = r"[ \t]*+"
QUOTED = r'"(?:[^"\\]|\\.)*+"'
PAIR = rf"(?P<key>{QUOTED}|[a-zA-Z_][a-zA-Z0-9_]*+)(?:{SPACE}={SPACE}(?P<value>{QUOTED}))?+"
UNNAMED_PAIR = re.sub(r"\?P<\w+>", "?:", PAIR)
LABELS = rf"{SPACE}(?:{UNNAMED_PAIR}{SPACE}(?:,{SPACE}{UNNAMED_PAIR}{SPACE})*+)?+,?+{SPACE}"
TIMESTAMP = r"(?:[ \t]++-?[0-9.]++)?"
EXEMPLAR = r"(?:[ \t]++\#.*+)?"
LINE = re.compile(
    rf"{SPACE}(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*+)?+(?:{SPACE}\{{(?P<labels>{LABELS})\}}{SPACE}|[ \t]++)"
    rf"(?P<value>[^ \t\r_]++){TIMESTAMP}{EXEMPLAR}[ \t\r]*+",
    re.DOTALL,
)
PAIRS = re.compile(PAIR, re.DOTALL)
ESCAPED = re.compile(r'\\([\\"n])')


@dataclass(frozen=True)
class Sample:
    """One value, named; it may be NaN or infinite."""

    name: str
    labels: Mapping[str, str]
    value: float


def parse_samples(text: str) -> tuple[Sample, ...]:
    """Return all samples of a text, in its order; raises ValueError where it is too large or not of this format."""
    if len(text) > LARGEST_TEXT:
        raise ValueError(f"more than {LARGEST_TEXT} characters")
    # Not `splitlines`: a label may hold what Python takes for the end of a line.
    return tuple(_sample(line) for line in text.split("\n") if _is_sample(line))


def _is_sample(line: str) -> bool:
    return line.strip(" \t\r")[:1] not in ("", "#")


def _sample(line: str) -> Sample:
    found = LINE.fullmatch(line)
    if found is None:
        raise ValueError(f"no sample: {line[:SHOWN]!r}")
    pairs = [(pair["key"], pair["value"]) for pair in PAIRS.finditer(found["labels"] or "")]
    # Since version 1.0.0 a name beyond the usual characters stands among the labels, quoted and alone.
    names = [found["name"]] if found["name"] else []
    names += [_unquoted(key) for key, value in pairs if value is None]
    if len(names) != 1:
        raise ValueError(f"not one name: {line[:SHOWN]!r}")
    labels = {_unquoted(key): _unquoted(value) for key, value in pairs if value is not None}
    return Sample(names[0], labels, float(found["value"]))


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    return ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], text[1:-1])
