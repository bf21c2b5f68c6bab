"""What runs on which end of openai: on the newest every test, on the oldest all but those named here.

A file that no row names runs on both. A row may name only what openai's release cannot change, with the reason:
`tests/test_package.py` sees to it. `python -m tests.ends` prints the rows as arguments of pytest, for `./dev test`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

__all__ = ["NEWEST_ONLY", "TESTS", "covering", "reached"]

TESTS = Path(__file__).parent
IS_NEWEST = not version("openai").startswith("2.")
R = TypeVar("R")

NEWEST_ONLY: dict[str, str] = {
    # What our tables and pure modules decide.
    "migrate/test_command.py": "the command of a migration, its processes and its exit codes",
    "migrate/test_configuration.py": "what a migration makes of files of settings",
    "migrate/test_files.py": "which files a migration writes",
    "migrate/test_live.py": "what a server says to what code asks; the client's words for it: `test_explain.py`",
    "migrate/test_rules.py": "what a migration makes of a text; programs run in `migrate/test_programs.py`",
    "simulation": "replicas and retries on a virtual clock",
    "simulator": "the stand-in server cannot import openai, as `./dev check` sees to",
    "test_answer_properties.py": "the wire's reading of an answer, from bytes",
    "test_catalogue.py": "which test proves which fault",
    "test_comparison.py": "the comparison of simulator and vLLM",
    "test_key.py": "keys as values",
    "test_outcome.py": "the table of outcomes",
    "test_prefix_key.py": "the key of a prompt, from its JSON",
    "test_replica_parts.py": "what a group of replicas is made of",
    "test_replicas.py": "the choice of a replica",
    "test_settings.py": "settings, merged from values",
    "test_timeouts.py": "timers as values",
    # What the wire does below openai: its errors as callers see them are in `test_wire_faults.py`, on both ends.
    "test_pulse.py": "questions that the wire asks on the side",
    "test_raw.py": "the wire's exact bytes, for checks of servers",
    "test_wire_memory.py": "what the wire holds of an answer at most",
    "test_wire_timers.py": "when the wire's timers fire",
    # Commands: what they ask of the client is asked by `test_cli.py` and `test_cli_chat.py` on both ends.
    "test_cli_talk.py": "line editing and signals at a terminal",
    "test_doctor.py": "the doctor's checks; that callers are told by the same rules: `test_explain.py`",
}
# Through these a test has openai's code in the path that it is about.
OF_OPENAI = (
    "openai",
    "httpx",
    "httpx2",
    "vllm_connect.client",
    "vllm_connect.dispatch.failure",
    "vllm_connect.dispatch.sdk_sender",
    "vllm_connect.dispatch.wire_transport",
    "tests.callers",
)


def reached(file: Path) -> set[str]:
    """What a file of tests names of openai, and of what stands directly upon it: `openai.APIError`, `tests.callers`."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            # A package alone is what is used of it, below.
            found |= {name.name for name in node.names if "." in name.name}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.add(f"{node.value.id}.{node.attr}")
    return {name for name in found if name.startswith(tuple(f"{one}." for one in OF_OPENAI))}


def covering(rows: Iterable[R], kind: Callable[[R], object]) -> list[R]:
    """All rows on the newest openai; on the oldest the first of each kind, where what differs is judged below it."""
    if IS_NEWEST:
        return list(rows)
    first: dict[object, R] = {}
    for row in rows:
        first.setdefault(kind(row), row)
    return list(first.values())


if __name__ == "__main__":
    sys.stdout.write(" ".join(f"--ignore={TESTS.name}/{name}" for name in NEWEST_ONLY))
