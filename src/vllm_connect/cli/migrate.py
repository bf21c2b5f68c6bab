"""`vllm-connect migrate`: move a code base from OpenAI to vLLM."""

from __future__ import annotations

import difflib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from vllm_connect.cli.failure import Failure
from vllm_connect.cli.terminal import complain, has_colour, print_json, print_table, shown, single_line, write

if TYPE_CHECKING:
    from vllm_connect.facts import ServerFacts
    from vllm_connect.migrate.finding import Finding
    from vllm_connect.migrate.report import Report
    from vllm_connect.migrate.run import Finished

__all__ = ["migrate"]

FAILED, USAGE = 1, 2
COLOURS = {"breaks": "31", "silently ignored": "33", "changes output": "33", "cosmetic": "2"}
DIFF_COLOURS = {"+": "32", "-": "31", "@": "36"}
# In these a key stands in quotes, and what is without them is computed.
CODE = (".py", ".pyi", ".pyw", ".ipynb", ".js", ".jsx", ".ts", ".tsx", ".mjs", ".cjs", ".vue", ".svelte")
# Places named for one step; --json has all of them.
MOST_PLACES = 3

Paths = Annotated[
    list[Path] | None, typer.Argument(metavar="PATH...", help="Files and folders.", show_default=False)
]
Write = Annotated[bool, typer.Option("--write", help="Change the files; without it nothing is written.")]
Check = Annotated[bool, typer.Option("--check", help="Exit with 1 when something is left to do.")]
Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON, for programs.")]
Sarif = Annotated[bool, typer.Option("--sarif", help="Print the report as SARIF 2.1.0, for code hosts.")]
ModelMap = Annotated[
    list[str] | None,
    typer.Option(
        "--model-map",
        metavar="OLD=NEW,...",
        help="Served names in place of OpenAI's, such as gpt-4o=qwen. Repeatable.",
    ),
]
Dirty = Annotated[bool, typer.Option("--dirty", help="Write although git holds uncommitted changes.")]

Url = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", help="A server that is asked whether it can do what the code asks for."
    ),
]
Shadow = Annotated[
    Path | None,
    typer.Option(
        "--shadow", metavar="FILE", help="Recorded requests, to be sent to --from and --to and compared."
    ),
]
From = Annotated[str | None, typer.Option("--from", metavar="URL", help="Where they went until now.")]
To = Annotated[str | None, typer.Option("--to", metavar="URL", help="Where they are to go.")]
Concurrency = Annotated[
    int, typer.Option("--concurrency", metavar="N", min=1, max=256, help="How many of them at once.")
]


def migrate(
    paths: Paths = None,
    write: Write = False,
    check: Check = False,
    json: Json = False,
    sarif: Sarif = False,
    model_map: ModelMap = None,
    dirty: Dirty = False,
    url: Url = None,
    shadow: Shadow = None,
    from_: From = None,
    to: To = None,
    concurrency: Concurrency = 4,
) -> None:
    """Move a code base from OpenAI to vLLM.

    Shows what would change as a diff, what is left to do, and in which order. What cannot be rewritten exactly is left
    and reported. Nothing is sent anywhere but by --url, which asks a server for what the code needs, and by --shadow, which compares the answers of two servers to recorded
    requests: each side's key is the one that settings or variables give for that address. Exit code 0 for a run to its end, 1 with --check when something is left, or
    where a file could not be written or made this command fail, 2 for a wrong command line or uncommitted changes.
    """
    if json and sarif:
        raise typer.BadParameter("give --json or --sarif, not both")
    if not all(one is None for one in (shadow, from_, to)):
        if shadow is None or from_ is None or to is None or paths or write or sarif or url:
            raise typer.BadParameter("--shadow FILE goes with --from URL and --to URL, and without PATH")
        _shadow(shadow, from_, to, _models(model_map), concurrency, json=json, check=check)
        return
    if not paths:
        raise typer.BadParameter("name the files and folders to look at, such as `.`")
    if importlib.util.find_spec("libcst") is None:
        raise Failure("migrate needs LibCST: pip install 'vllm-connect[migrate]'")
    _migrate(paths, _models(model_map), url, _Wanted(write, check, json, sarif, dirty))


class _Wanted(NamedTuple):
    """What is to be done with what is found."""

    write: bool
    check: bool
    json: bool
    sarif: bool
    dirty: bool


def _migrate(paths: list[Path], models: dict[str, str], url: str | None, wanted: _Wanted) -> None:
    facts = None if url is None else _facts(url)
    report = _report(paths, models, is_to_write=wanted.write, may_lose=wanted.dirty)
    if facts is not None:
        report = _with_server(report, facts)
    _print(report, facts, wanted)
    for path, reason in report.unwritten:
        complain(f"{path}: not written: {reason}")
    if report.has_crashed or report.unwritten or (wanted.check and not report.is_done):
        raise typer.Exit(FAILED)


def _print(report: Report, facts: ServerFacts | None, wanted: _Wanted) -> None:
    if wanted.json:
        from vllm_connect.migrate.report import as_json  # noqa: PLC0415  # imports LibCST

        print_json(as_json(report) | ({} if facts is None else {"server": _server(facts)}))
    elif wanted.sarif:
        from vllm_connect import __version__  # noqa: PLC0415
        from vllm_connect.migrate.report import as_sarif  # noqa: PLC0415

        print_json(as_sarif(report, __version__))
    else:
        _show(report, is_written=wanted.write)
        if facts is not None:
            _write_server(facts)


def _facts(url: str) -> ServerFacts:
    from vllm_connect.client import OpenAI  # noqa: PLC0415  # imports the SDK

    with OpenAI(base_url=url) as client:
        return client.server.info()


def _with_server(report: Report, facts: ServerFacts) -> Report:
    """Return a report with what a server cannot do of what the code asks for."""
    from vllm_connect.client import OpenAI  # noqa: PLC0415  # imports the SDK
    from vllm_connect.migrate.live import looked_at  # noqa: PLC0415

    usages = [usage for one in report.outcomes for usage in one.usages]
    with OpenAI(base_url=facts.url, parameters="off") as client:
        found = looked_at(usages, client, facts)
    outcomes = [
        replace(one, findings=(*one.findings, *(two for two in found if two.path == str(one.path))))
        for one in report.outcomes
    ]
    return replace(report, outcomes=tuple(outcomes))


def _server(facts: ServerFacts) -> dict[str, object]:
    return {
        "url": facts.url,
        "version": facts.version,
        "models": [model.id for model in facts.models],
        "serves": None if facts.serves is None else sorted(facts.serves),
    }


def _write_server(facts: ServerFacts) -> None:
    """Say which server was asked."""
    version = f"vLLM {facts.version}" if facts.version else "version unknown"
    models = ", ".join(model.id for model in facts.models) or "no model"
    write(f"Asked: {single_line(f'{facts.url} ({version}), which serves {models}')}\n")


def _shadow(
    file: Path, old: str, new: str, models: dict[str, str], concurrency: int, *, json: bool, check: bool
) -> None:
    from vllm_connect.cli.shadow import show_shadow  # noqa: PLC0415  # imports the SDK
    from vllm_connect.migrate.shadow import Shadow  # noqa: PLC0415

    report = show_shadow(file, Shadow(old, new, models, concurrency), json=json)
    is_same = not report["different"] and not report["broken"]
    if not report["compared"] or (check and not is_same):
        raise typer.Exit(FAILED)


def _models(pairs: Iterable[str] | None) -> dict[str, str]:
    models = {}
    for pair in (one for given in pairs or () for one in given.split(",") if one.strip()):
        old, equals, new = (part.strip() for part in pair.partition("="))
        if not equals or not old or not new:
            raise typer.BadParameter(
                f"--model-map: {single_line(pair)!r} is not OLD=NEW, such as gpt-4o=qwen"
            )
        models[old] = new
    return models


def _report(paths: list[Path], models: dict[str, str], *, is_to_write: bool, may_lose: bool) -> Report:
    from vllm_connect.migrate.options import Options  # noqa: PLC0415  # imports LibCST
    from vllm_connect.migrate.report import reported  # noqa: PLC0415
    from vllm_connect.migrate.writing import unsaved  # noqa: PLC0415
    from vllm_connect.migrate.writing import write as write_file  # noqa: PLC0415

    finished = _run(paths, Options(models=models))
    report = reported(finished.outcomes, finished.files, finished.seconds)
    if not is_to_write or not report.changed:
        return report
    lost = [] if may_lose else unsaved(one.path for one in report.changed)
    if lost:
        more = f" and {len(lost) - MOST_PLACES} more" if len(lost) > MOST_PLACES else ""
        complain(
            f"nothing was written: git could not bring back {', '.join(lost[:MOST_PLACES])}{more}. "
            "Commit first, or give --dirty."
        )
        raise typer.Exit(USAGE)
    reasons = [(str(one.path), write_file(one)) for one in report.changed]
    return reported(
        finished.outcomes,
        finished.files,
        finished.seconds,
        written=tuple(path for path, reason in reasons if not reason),
        unwritten=tuple((path, reason) for path, reason in reasons if reason),
    )


def _run(paths: list[Path], options: object) -> Finished:
    from vllm_connect.migrate.options import Options  # noqa: PLC0415  # imports LibCST
    from vllm_connect.migrate.run import Finished, Looked, Started, migration  # noqa: PLC0415

    assert isinstance(options, Options)
    total = 0
    try:
        for event in migration(paths, options):
            match event:
                case Started(_, relevant):
                    total = relevant
                case Looked(done):
                    _progress(done, total)
                case Finished():
                    return event
    except FileNotFoundError as missing:
        raise typer.BadParameter(f"{single_line(str(missing.filename))}: {missing.strerror}") from None
    raise AssertionError("a migration ends with Finished")


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        write(f"\r{done} of {total} files\x1b[K" if done < total else "\r\x1b[K", to=sys.stderr)


# -- for people


def _show(report: Report, *, is_written: bool) -> None:
    if not is_written:
        for one in report.changed:
            for line in _diff(one.before, one.after, str(one.path)):
                write(line)
    left = [one for one in report.findings if not one.is_fixed]
    if left:
        write("Left to you:\n")
        for finding in sorted(left, key=lambda one: -one.severity):
            write(_line(finding))
        write("\n")
    counts = report.counts()
    if counts:
        print_table(
            ("rule", "severity", "fixed", "left"),
            ((one.rule, one.severity.label, one.fixed, one.left) for one in counts),
        )
    _show_steps(report)
    write(_ending(report, is_written=is_written))


def _line(finding: Finding) -> str:
    severity = _coloured(finding.severity.label, COLOURS[finding.severity.label])
    versions = f" (vLLM {finding.versions})" if finding.versions else ""
    return f"  {single_line(finding.place)}  {finding.rule}, {severity}: {single_line(finding.message)}{versions}\n"


def _show_steps(report: Report) -> None:
    steps = report.steps()
    if not steps:
        return
    write("\nWhat to do next, the worst first:\n")
    for number, step in enumerate(steps, 1):
        more = f" and {len(step.places) - MOST_PLACES} more" if len(step.places) > MOST_PLACES else ""
        write(
            f"{number:3}. {single_line(step.todo)}\n     {single_line(', '.join(step.places[:MOST_PLACES]))}{more}\n"
        )


def _ending(report: Report, *, is_written: bool) -> str:
    files = f"{report.files} file{'' if report.files == 1 else 's'} in {report.seconds:.1f} s"
    if not report.changed:
        return f"\n{files}: nothing to rewrite.\n" if report.findings else f"{files}: nothing to migrate.\n"
    if is_written:
        return f"\n{files}: {len(report.written)} written. Look at them with git diff, and run your tests.\n"
    return f"\n{files}: {len(report.changed)} would change. Write them with --write.\n"


def _diff(before: str, after: str, path: str) -> Iterator[str]:
    from vllm_connect.migrate.secret import masked  # noqa: PLC0415

    name, is_code = single_line(path), path.endswith(CODE)
    before, after = masked(before, is_code=is_code), masked(after, is_code=is_code)
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), name, name, lineterm="")
    for line in lines:
        yield f"{_coloured(shown(line), DIFF_COLOURS.get(line[:1], ''))}\n"
    yield "\n"


def _coloured(text: str, colour: str) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if colour and has_colour(sys.stdout) else text
