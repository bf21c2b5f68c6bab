"""`vllm-connect doctor`: what is wrong between a set-up and a first good answer, and the fix."""

from __future__ import annotations

import dataclasses
import shutil
import sys
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from vllm_connect.cli.options import Connection, Json, Model, connecting
from vllm_connect.cli.terminal import has_colour, print_json, shown, single_line, write

if TYPE_CHECKING:
    from vllm_connect.checks import Finding
    from vllm_connect.doctor.patient import Patient

__all__ = ["doctor"]

PROBLEMS, UNREACHABLE = 1, 3
# Checks whose failure means that no server is there.
WAY_THERE = frozenset({"proxy", "name", "connection", "TLS", "HTTP"})
COLOURS = {"ok": "32", "warn": "33", "fail": "31", "skipped": "2"}
CHECK_WIDTH = 18
MARGIN = " " * (8 + CHECK_WIDTH)
# Characters that a narrow terminal has to break by itself.
LEAST_WIDTH = 20
# Characters of one line.
MOST_SHOWN = 2000


@connecting
def doctor(connection: Connection, model: Model = None, json: Json = False) -> None:
    """Find what is wrong between your set-up and a first good answer, and how to mend it.

    From the settings over name, connection, TLS, key and models to a chat, a stream, an embedding, tools and
    structured output; several replicas are compared. Exit code 0 when all is well (warnings allowed), 1 for
    problems, 2 for a wrong command line, 3 when no server is reached.
    """
    from vllm_connect.doctor import examination, set_up  # noqa: PLC0415  # imports the SDK

    patients: list[Patient] = []
    found: list[Finding] = []
    given = {**connection.settings(), "model": model}
    for finding in examination(given, patients):
        if not json:
            _show(finding, found)
        found.append(finding)
    if not json:
        _show_unseen(found[-1:], found)
    is_well = not any(one.status == "fail" for one in found)
    remedy = set_up(patients) if is_well else ""
    if json:
        print_json({"ok": is_well, "findings": [dataclasses.asdict(one) for one in found], "set_up": remedy})
    elif is_well:
        write(f"\nThis set-up works:\n\n{_indented(remedy)}\n")
    else:
        failures = [one for one in found if one.status == "fail"]
        write(f"\n{_counted(len(failures))} found; begin with {failures[0].check}.\n")
    if not is_well:
        raise typer.Exit(_exit_code(found))


def _exit_code(found: Iterable[Finding]) -> int:
    """3 where no server was reached, 1 where something else is wrong."""
    servers = {one.server for one in found if one.check != "replicas"}
    away = {one.server for one in found if one.status == "fail" and one.check in WAY_THERE}
    return UNREACHABLE if servers == away else PROBLEMS


def _show(finding: Finding, before: list[Finding]) -> None:
    """Show one finding as it comes; what could not be looked at is told together, behind its server's last."""
    if before and before[-1].server != finding.server:
        _show_unseen(before[-1:], before)
    if finding.server and finding.server not in {one.server for one in before}:
        write(f"{shown(finding.server)}\n")
    if "needs" in finding.facts:
        return
    status = f"{finding.status:8}"
    if has_colour(sys.stdout):
        status = f"\x1b[{COLOURS[finding.status]}m{status}\x1b[0m"
    write(f"{status}{finding.check:{CHECK_WIDTH}}{_laid(_bounded(finding.said))}\n")
    if finding.fix:
        write(f"{MARGIN}-> {_laid(_bounded(finding.fix), behind='   ')}\n")


def _show_unseen(last: list[Finding], found: list[Finding]) -> None:
    unseen = [one.check for one in found if one.server == last[0].server and "needs" in one.facts]
    if unseen:
        write(f"{MARGIN}not looked at: {_laid(', '.join(unseen), behind=' ' * len('not looked at: '))}\n")


def _bounded(text: str) -> str:
    """Return a text as one line: a server may list ten thousand models, or one of as many letters."""
    line = single_line(text[:MOST_SHOWN])
    return line if len(text) <= MOST_SHOWN else f"{line} ... (--json has all of it)"


def _laid(text: str, *, behind: str = "") -> str:
    """Return a text as it stands behind the margin at a terminal: broken between words; a pipe gets one line."""
    if not sys.stdout.isatty():
        return text
    margin = f"{MARGIN}{behind}"
    width = max(shutil.get_terminal_size().columns - len(margin), LEAST_WIDTH)
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return f"\n{margin}".join(lines)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in shown(text).splitlines())


def _counted(problems: int) -> str:
    return "One problem was" if problems == 1 else f"{problems} problems were"
