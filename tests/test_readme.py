"""Every code block of the README and of pages that show the API is run, against stand-in servers."""

from __future__ import annotations

import gc
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import run
from vllm_connect import Settings
from vllm_connect.simulator import Simulator

ROOT = Path(__file__).parent.parent
PAGES = (
    "README.md",
    "docs/errors.md",
    "docs/outcomes.md",
    "docs/replicas.md",
    "docs/server.md",
    "docs/simulator.md",
)
BLOCKS = [
    block
    for page in PAGES
    for block in re.findall(
        r"^```(\w+)\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
]
# CI runs these two commands themselves; here they would run this test again.
DEV_COMMANDS = {"./dev demo", "./dev test"}


def blocks(language: str) -> list[str]:
    """Return the blocks of one language."""
    return [text for name, text in BLOCKS if name == language]


def test_languages() -> None:
    """No block is of a language that nothing below runs."""
    assert {name for name, _ in BLOCKS} == {"python", "sh", "toml"}


@pytest.mark.parametrize("block", blocks("python"))
def test_python(
    block: str,
    server: Simulator,
    pooling: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A Python block runs as it stands; only the addresses that it writes down are this test's."""
    monkeypatch.setenv("VLLM_BASE_URL", server.url)
    monkeypatch.setenv("VLLM_API_KEY", "simulator-key")
    with Simulator(dev_mode=True) as developed:
        text = block
        for port, one in ((8000, server), (8001, pooling), (8002, developed)):
            text = text.replace(f'"localhost:{port}"', f'"127.0.0.1:{one.port}"')
        if "def test_" in block:
            assert _tested(text)
            return
        # In this process: a warning is an error here too, and importing the SDK takes a second.
        exec(compile(text, "block", "exec"), {"__name__": "__main__"})
        gc.collect()
    assert capsys.readouterr().out.strip()


def _tested(block: str) -> str:
    """Return what pytest says of a block that has tests, in a process of its own."""
    Path("test_block.py").write_text(block, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_block.py"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


@pytest.mark.parametrize("line", [line for block in blocks("sh") for line in block.splitlines()])
def test_shell(line: str, server: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell line is a command that works; ./dev's own are known to ./dev and run by CI."""
    command = line.partition("#")[0].strip()
    if command in DEV_COMMANDS:
        assert f"\n{command.split()[1]})\n" in (ROOT / "dev").read_text(encoding="utf-8")
        return
    monkeypatch.setenv("VLLM_BASE_URL", server.url)
    monkeypatch.setenv("VLLM_API_KEY", "simulator-key")
    name, *arguments = shlex.split(command)
    assert name == "vllm-connect"
    ran = run(*arguments)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()


@pytest.mark.parametrize("block", blocks("toml"))
def test_toml(block: str) -> None:
    """A TOML block is a settings file that loads, each of its profiles too."""
    Path("vllm-connect.toml").write_text(block, encoding="utf-8")
    for profile in (None, *re.findall(r"\[profiles\.(\w+)\]", block)):
        settings = Settings.load({"profile": profile}, environ={}, folder=Path.cwd(), home=Path.cwd())
        assert settings.endpoint.host
