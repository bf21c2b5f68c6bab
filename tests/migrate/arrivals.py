"""Runs migrated programs against a server, and says what arrived that should not have, or did not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.commands import run_process
from tests.migrate.expected import Program, Request
from tests.migrate.paired import MODELS
from tests.migrate.runner import MARK
from vllm_connect.simulator import Simulator
from vllm_connect.simulator.exchange import RecordedRequest

__all__ = ["migrated", "wrong_with"]

ROOT = Path(__file__).parents[2]
CANARY = "sk-proj-canaryT3BlbkFJcanary"
# What a machine that used OpenAI until today has set; where it leads is refused at once.
ENVIRONMENT = {
    "OPENAI_API_KEY": CANARY,
    "AZURE_OPENAI_API_KEY": CANARY,
    "AZURE_OPENAI_ENDPOINT": "https://canary.openai.azure.com",
    "OPENAI_ORG_ID": "org-canary",
    "OPENAI_PROJECT_ID": "proj-canary",
    "HTTPS_PROXY": "http://127.0.0.1:9",
}


def migrated(programs: Path, folder: Path) -> Path:
    """Return a folder with all programs of another one, migrated by the command."""
    folder.mkdir()
    for path in programs.glob("*.py"):
        (folder / path.name).write_bytes(path.read_bytes())
    models = ",".join(f"{old}={new}" for old, new in MODELS.items())
    ended = run_process("migrate", str(folder), "--write", "--model-map", models)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


def wrong_with(
    programs: Sequence[Program],
    folder: Path,
    server: Simulator,
    *,
    python: str = sys.executable,
    seconds: float = 170,
    environment: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Run programs one after the other, and return what is wrong by the name of each; empty where nothing is."""
    files = [str(folder / f"{one.name}.py") for one in programs]
    ended = subprocess.run(
        [python, "-m", "tests.migrate.runner", server.root_url, *files],
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT, "VLLM_BASE_URL": server.url, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    told = {one["program"]: one for one in lines if "program" in one}
    came = dict(_by_program(server.requests))
    wrong = {"": f"it would have gone to {lines[-1]['others']}"} if lines and lines[-1]["others"] else {}
    for one in programs:
        ran = told.get(one.name, {"failure": f"it did not run: {ended.stderr}", "said": ""})
        problem = ran["failure"] or _problem(one, came[one.name], ran["said"])
        wrong |= {one.name: problem} if problem else {}
    return wrong


def _by_program(requests: Sequence[RecordedRequest]) -> Iterator[tuple[str, list[RecordedRequest]]]:
    own: list[RecordedRequest] = []
    for one in requests:
        if one.path.startswith(MARK):
            own = []
            yield one.path.removeprefix(MARK), own
        else:
            own.append(one)


def _problem(program: Program, came: Sequence[RecordedRequest], said: str) -> str:
    if any(CANARY.encode() in name + value for one in came for name, value in one.headers):
        return "OpenAI's key arrived"
    if any(b"canary" in value for one in came for _, value in one.headers):
        return "an organization or a project arrived"
    posts = [one for one in came if one.method == "POST"]
    if len(posts) != len(program.requests):
        return f"{len(posts)} requests arrived: {[(one.path, one.json()) for one in posts]}"
    problems = [_difference(one, wanted) for one, wanted in zip(posts, program.requests, strict=True)]
    if program.says and program.says not in said:
        problems.append(f"it said {said!r}")
    return "; ".join(filter(None, problems))


def _difference(one: RecordedRequest, wanted: Request) -> str:
    body = one.json()
    if one.path != wanted.path:
        return f"it went to {one.path}"
    others = {name: body.get(name) for name, value in wanted.has.items() if body.get(name) != value}
    more = [name for name in wanted.lacks if name in body]
    return f"{others=} {more=}" if others or more else ""
