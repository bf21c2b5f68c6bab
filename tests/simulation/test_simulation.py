"""Replicas, retries and the budget on a virtual clock: 5,000 scenarios; `./dev proof simulation` runs 100,000."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from proofs.simulation import summed
from tests.simulation.outage import outage_of_all

ROOT = Path(__file__).parents[2]
SCENARIOS = 5000
PARTS = 10


@pytest.mark.parametrize("part", range(PARTS))
def test_scenarios_keep_the_rules(part: int) -> None:
    """Whatever servers do, what `tests/simulation/rules.py` promises holds at every step of every scenario."""
    number = SCENARIOS // PARTS
    summary = summed(range(part * number, (part + 1) * number))
    assert summary.scenarios == number
    assert summary.sent_again > 0


@pytest.mark.parametrize("replicas", [1, 3])
def test_clients_do_not_return_as_a_herd(replicas: int) -> None:
    """After an outage of all servers, the first second brings at most 1.2 times the ordinary load."""
    outage_of_all(replicas, replicas, clients=400, seconds=30.0)


def test_a_scenario_runs_again_step_by_step() -> None:
    """A seed gives the same steps in every process."""
    said = {
        subprocess.run(
            [sys.executable, "-m", "proofs.simulation", "--seed", "4"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
    assert b"seed 4 keeps all rules" in said.pop()
