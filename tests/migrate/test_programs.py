"""Programs that are migrated, and then run against a server: what arrives there, and that no key of OpenAI's does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import pytest

from tests.commands import run_process
from tests.migrate.expected import PROGRAMS, Program, Request
from tests.migrate.paired import MODELS
from tests.migrate.runner import MARK
from vllm_connect.simulator import Simulator
from vllm_connect.simulator.exchange import RecordedRequest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent / "programs"
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


@pytest.fixture
def migrated(tmp_path: Path) -> Path:
    """All programs in a folder of their own, migrated by the command."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for path in HERE.glob("*.py"):
        (folder / path.name).write_bytes(path.read_bytes())
    models = ",".join(f"{old}={new}" for old, new in MODELS.items())
    ended = run_process("migrate", str(folder), "--write", "--model-map", models)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("kind", "served"), [("generate", ("qwen", "qwen-small")), ("pooling", ("bge",))])
def test_programs(migrated: Path, kind: Literal["generate", "pooling"], served: tuple[str, ...]) -> None:
    """A migrated program runs, its requests arrive with their model and parameters, and no key comes with them."""
    programs = [one for one in PROGRAMS if one.kind == kind]
    with Simulator(models=tuple(served), kind=kind) as server:
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "tests.migrate.runner", server.root_url),
                *(str(migrated / f"{one.name}.py") for one in programs),
            ],
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT, "VLLM_BASE_URL": server.url},
            capture_output=True,
            text=True,
            check=False,
            timeout=170,
        )
        came = dict(_by_program(server.requests))
    told = {(one := json.loads(line))["program"]: one for line in ended.stdout.splitlines()}
    wrong = {
        one.name: problem
        for one in programs
        if (problem := told[one.name]["failure"] or _problem(one, came[one.name], told[one.name]["said"]))
    }
    assert wrong == {}


def test_every_program_is_expected() -> None:
    """Each file of the folder is a program that is run, or a module that one of them imports."""
    names = {path.stem for path in HERE.glob("*.py")}
    imported = {
        name for name in names if any(f"from {name} import" in path.read_text() for path in HERE.glob("*.py"))
    }
    assert names - imported == {one.name for one in PROGRAMS}


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
