"""`vllm-connect migrate` as users run it: what it writes and when it refuses, what it prints, and its exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.commands import COMMAND, run
from vllm_connect.migrate.migration import migrated_file
from vllm_connect.migrate.options import Options
from vllm_connect.migrate.project import Project
from vllm_connect.migrate.run import Finished, migration
from vllm_connect.migrate.writing import write

OLD, NEW = "from openai import OpenAI\n", "from vllm_connect import OpenAI\n"
KEY = "sk-proj-canaryT3BlbkFJcanary"
LEFT = f"{NEW}\n\ndef ask(client: OpenAI):\n    client.completions.create(prompt='x', best_of=3)\n"
COSMETIC = f"{NEW}\nclient = OpenAI()\n\n\ndef ask():\n    return client\n"


def git(folder: Path, *arguments: str) -> None:
    named = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", *named, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A work tree whose one file is committed."""
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "a.py").write_text(OLD)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


def test_dry_run(tree: Path) -> None:
    """Without --write nothing changes: a diff and what to do are shown, and that is success."""
    ended = run("migrate", str(tree))
    assert ended.returncode == 0
    assert f"-{OLD}+{NEW}" in ended.stdout
    assert "1 would change" in ended.stdout
    assert (tree / "a.py").read_text() == OLD


@pytest.mark.parametrize(
    ("text", "code"),
    [(OLD, 1), (NEW, 0), (LEFT, 1), (COSMETIC, 0), ("import openai\n(", 1), ("x = 1\n", 0)],
    ids=["would change", "done", "left", "cosmetic", "not parsed", "nothing of OpenAI"],
)
def test_check(text: str, code: int, tmp_path: Path) -> None:
    """--check fails when a file would change or anything but cosmetics is left."""
    (tmp_path / "a.py").write_text(text)
    assert run("migrate", str(tmp_path / "a.py"), "--check").returncode == code


def test_write(tree: Path) -> None:
    """--write changes files, their mode and links to them stay, and a second run has nothing to do."""
    file = tree / "a.py"
    file.chmod(0o750)
    git(tree, "commit", "-qam", "mode")
    link = tree.parent / "link.py"
    link.symlink_to(file)
    ended = run("migrate", str(link), "--write", "--check")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert file.read_text() == NEW
    assert file.stat().st_mode & 0o777 == 0o750
    assert link.is_symlink()
    assert {path.name for path in tree.iterdir()} == {".git", "a.py"}


@pytest.mark.parametrize("where", ["changed", "another file", "not added"])
def test_unsaved_work(where: str, tree: Path) -> None:
    """What git could not bring back is not written over, unless --dirty says so; nothing is written in part."""
    if where == "not added":
        (tree / "b.py").write_text(OLD)
    elif where == "changed":
        (tree / "a.py").write_text(f"{OLD}# mine\n")
    else:
        (tree / "notes.txt").write_text("one")
        git(tree, "add", ".")
    before = {path.name: path.read_text() for path in tree.glob("[!.]*")}
    refused = run("migrate", str(tree), "--write")
    assert refused.returncode == 2
    assert "--dirty" in refused.stderr
    assert {path.name: path.read_text() for path in tree.glob("[!.]*")} == before
    assert run("migrate", str(tree), "--write", "--dirty").returncode == 0
    assert (tree / "a.py").read_text().startswith(NEW)


def test_changed_meanwhile(tmp_path: Path) -> None:
    """A file that changed since it was read is left, and that is said; so is one that may not be written."""
    path = tmp_path / "a.py"
    path.write_text(OLD)
    outcome = migrated_file(path, Project(), Options())
    path.write_text(f"{OLD}# meanwhile\n")
    assert "changed" in write(outcome)
    assert path.read_text() == f"{OLD}# meanwhile\n"


def printed(*arguments: str) -> Any:
    ended = run("migrate", *arguments)
    assert KEY not in ended.stdout + ended.stderr
    return json.loads(ended.stdout)


def test_json(tree: Path) -> None:
    """--json is one document with every finding, its severity, and what to do next; a key is nowhere in it."""
    (tree / "a.py").write_text(f"{OLD}client = OpenAI(api_key='{KEY}')\n{LEFT}")
    told = printed(str(tree), "--json")
    assert told["version"] == 1
    assert (told["files"], told["done"], told["crashed"], told["written"]) == (1, False, False, [])
    assert told["changed"] == [str(tree / "a.py")]
    left = [one for one in told["findings"] if not one["fixed"] and one["severity"] != "cosmetic"]
    assert [(one["rule"], one["line"], one["severity"]) for one in left] == [
        ("ignored-parameter", 7, "silently ignored")
    ]
    assert told["next_steps"][0]["severity"] == "breaks"
    assert {one["rule"] for one in told["summary"]} == {one["rule"] for one in told["findings"]}


def test_sarif(tree: Path) -> None:
    """--sarif is SARIF 2.1.0: each result has a rule that is listed, a level and a place."""
    (tree / "a.py").write_text(f"{OLD}client = OpenAI(api_key='{KEY}')\n{LEFT}")
    told = printed(str(tree / "a.py"), "--sarif")
    assert told["version"] == "2.1.0"
    (done,) = told["runs"]
    rules = [one["id"] for one in done["tool"]["driver"]["rules"]]
    for result in done["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"].endswith("tree/a.py")
        assert place["region"]["startLine"] >= 1
        assert place["region"]["startColumn"] >= 1


def test_key_is_not_shown(tree: Path) -> None:
    """A key in a file that changes is not shown, not in the diff either."""
    (tree / "a.py").write_text(f"{OLD}client = OpenAI(api_key='{KEY}')\n")
    ended = run("migrate", str(tree))
    assert KEY not in ended.stdout + ended.stderr
    assert "-client" in ended.stdout


@pytest.mark.timeout(90)
def test_crash(tree: Path) -> None:
    """A file that takes the process with it is a finding with its name; the others are done, and it is a failure."""
    (tree / "deep.py").write_text(f"import openai\nx = {'not ' * 6000}1\n")
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "deep")
    ended = run("migrate", str(tree), "--write")
    assert ended.returncode == 1
    assert "deep.py:1:1  crash, breaks" in ended.stdout
    assert (tree / "a.py").read_text() == NEW


@pytest.mark.timeout(90)
def test_no_end(tmp_path: Path) -> None:
    """A file that takes longer than its time is a finding; the others are done."""
    for name, text in {"a.py": OLD, "b.py": OLD + "x = [1, 2, 3]\n" * 40_000, "c.py": OLD}.items():
        (tmp_path / name).write_text(text)
    events = list(migration([tmp_path], Options(seconds=0.5), workers=1))
    finished = events[-1]
    assert isinstance(finished, Finished)
    told = {one.path.name: [finding.rule for finding in one.findings] for one in finished.outcomes}
    assert told == {"a.py": ["client-class"], "b.py": ["crash"], "c.py": ["client-class"]}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "no such file"),
        ((".", "--model-map", "gpt-4o"), "OLD=NEW"),
        ((".", "--json", "--sarif"), "not both"),
    ],
)
def test_wrong_command_line(arguments: tuple[str, ...], said: str) -> None:
    """A wrong command line says what is wrong, with exit code 2."""
    ended = run("migrate", *arguments)
    assert ended.returncode == 2
    assert said in ended.stderr


def test_names_are_safe_for_the_terminal(tmp_path: Path) -> None:
    """Control characters of files' names and texts do not reach the terminal."""
    (tmp_path / "a\x1b[31m.py").write_text(f"{OLD}x = '\x1b[2J'\n{LEFT}")
    assert "\x1b" not in run("migrate", str(tmp_path)).stdout


def test_without_libcst() -> None:
    """Without LibCST one line says what to install."""
    code = (
        "import sys; sys.modules['libcst'] = None; sys.argv = ['vllm-connect', 'migrate', '.']\n"
        "from vllm_connect.cli import main\nmain()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 1
    assert ended.stderr == "vllm-connect: migrate needs LibCST: pip install 'vllm-connect[migrate]'\n"


def test_interrupted(tmp_path: Path) -> None:
    """Ctrl-C ends the command and its workers, without a word of theirs, and no file is touched."""
    for number in range(20):
        (tmp_path / f"m{number}.py").write_text(OLD)
    command = subprocess.Popen(
        [*COMMAND, "migrate", str(tmp_path), "--write"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not (workers := [one for one in _children(command.pid) if _is_worker(one)]):
        assert command.poll() is None
        time.sleep(0.01)
    time.sleep(0.3)  # they are coming up
    os.killpg(command.pid, signal.SIGINT)
    _, told = command.communicate(timeout=30)
    assert command.returncode == 130
    assert b"Traceback" not in told
    until = time.monotonic() + 20  # one that is just coming up sees that nobody is there
    while any(map(_is_worker, workers)):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert {path.read_text() for path in tmp_path.glob("*.py")} == {OLD}


def _children(process: int) -> list[int]:
    told = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(one) for one in told.split()]


def _is_worker(process: int) -> bool:
    try:
        return b"migrate.worker" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False
