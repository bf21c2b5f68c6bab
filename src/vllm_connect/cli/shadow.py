"""`vllm-connect migrate --shadow`: recorded requests to two servers, and how their answers differ."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from vllm_connect.cli.terminal import print_json, print_table, single_line, write

if TYPE_CHECKING:
    from vllm_connect.migrate.comparison import Compared
    from vllm_connect.migrate.recording import Broken
    from vllm_connect.migrate.shadow import Shadow

__all__ = ["show_shadow"]

# Lines and places that are shown; --json has all of them.
MOST_LINES, MOST_SHOWN = 20, 10


def show_shadow(file: Path, shadow: Shadow, *, json: bool) -> Mapping[str, Any]:
    """Run, and print what came of it; return the report."""
    from vllm_connect.migrate.comparison import as_json  # noqa: PLC0415  # imports the SDK

    results, broken = _run(file, shadow)
    report = {"from": shadow.old, "to": shadow.new, **as_json(results, broken)}
    if json:
        print_json(report)
    else:
        _show(report)
    return report


def _run(file: Path, shadow: Shadow) -> tuple[list[Compared], list[Broken]]:
    from vllm_connect.migrate.recording import Broken, recorded  # noqa: PLC0415
    from vllm_connect.migrate.shadow import shadowed  # noqa: PLC0415

    results: list[Compared] = []
    broken: list[Broken] = []
    try:
        opened = file.open("rb")
    except OSError as wrong:
        raise typer.BadParameter(f"--shadow: {single_line(str(file))}: {wrong.strerror}") from None
    with opened:
        for done, one in enumerate(shadowed(recorded(opened), shadow), 1):
            if isinstance(one, Broken):
                broken.append(one)
            else:
                results.append(one)
            _progress(f"{done} requests")
    _progress("")
    return results, broken


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        write(f"\r{text}\x1b[K", to=sys.stderr)


def _show(report: Mapping[str, Any]) -> None:
    for one in report["broken"]:
        write(f"line {one['line']}: not sent: {one['reason']}\n")
    different = [one for one in report["lines"] if one["differences"]]
    if different:
        print_table(("line", "request", "model", "what differs"), _rows(different[:MOST_LINES]))
        if len(different) > MOST_LINES:
            write(f"and {len(different) - MOST_LINES} more lines that differ (--json has all)\n")
        write("\n")
    print_table(("", "from", "to"), _sums(report))
    for name, text in (("missing", "no longer there"), ("changed", "of another type"), ("added", "new")):
        _show_places(text, report["shape"][name])
    told = f"{report['requests']} requests, {report['compared']} compared, {report['different']} differ"
    unsent = len(report["broken"])
    write(f"\n{told}{f', {unsent} lines were not sent' if unsent else ''}.\n")


def _rows(lines: list[Mapping[str, Any]]) -> Iterator[tuple[object, ...]]:
    for one in lines:
        differences = "; ".join(f"{two['kind']}: {two['message']}" for two in one["differences"])
        model = " -> ".join(dict.fromkeys(name for name in one["model"].values() if name))
        yield one["line"], one["path"], model, differences


def _sums(report: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    yield "server", report["from"], report["to"]
    for name in ("prompt", "answer"):
        yield f"tokens of {name}s", *(report["tokens"][name][side] for side in ("from", "to"))
    for name in ("median", "p90"):
        times = [report["seconds"][side][name] for side in ("from", "to")]
        yield f"seconds, {name}", *("-" if one is None else f"{one:.2f}" for one in times)


def _show_places(text: str, places: Mapping[str, int]) -> None:
    if not places:
        return
    shown = ", ".join(f"{place} ({count})" for place, count in list(places.items())[:MOST_SHOWN])
    more = f" and {len(places) - MOST_SHOWN} more" if len(places) > MOST_SHOWN else ""
    write(f"{text}: {single_line(shown)}{more}\n")
