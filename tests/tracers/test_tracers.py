"""Tracers that patch openai see our calls as they see openai's own (`./dev tracers`)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("tracer", ["opentelemetry", "langfuse", "mlflow"])
def test_a_tracer_sees_the_same_of_both_clients(tracer: str, when: str) -> None:
    """Chat plain and streamed, completions, embeddings, blocking and async: a span each, alike in all it says.

    So it is whether the tracer comes before our first call or after it.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.tracers.traced", tracer, when],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    traced = json.loads(done.stdout.splitlines()[-1])
    assert len(traced["openai"]) == traced["expected"]
    assert traced["vllm_connect"] == traced["openai"]
    assert all("error" not in span["status"].lower() for span in traced["openai"])
