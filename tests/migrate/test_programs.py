"""Programs that are migrated, and then run against a server: what arrives there, and that no key of OpenAI's does."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from tests.migrate.arrivals import migrated, wrong_with
from tests.migrate.expected import PROGRAMS
from vllm_connect.simulator import Simulator

HERE = Path(__file__).parent / "programs"


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("kind", "served"), [("generate", ("qwen", "qwen-small")), ("pooling", ("bge",))])
def test_programs(tmp_path: Path, kind: Literal["generate", "pooling"], served: tuple[str, ...]) -> None:
    """A migrated program runs, its requests arrive with their model and parameters, and no key comes with them."""
    folder = migrated(HERE, tmp_path / "programs")
    programs = [one for one in PROGRAMS if one.kind == kind]
    with Simulator(models=served, kind=kind) as server:
        assert wrong_with(programs, folder, server) == {}


def test_every_program_is_expected() -> None:
    """Each file of the folder is a program that is run, or a module that one of them imports."""
    names = {path.stem for path in HERE.glob("*.py")}
    imported = {
        name for name in names if any(f"from {name} import" in path.read_text() for path in HERE.glob("*.py"))
    }
    assert names - imported == {one.name for one in PROGRAMS}
