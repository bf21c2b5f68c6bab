"""The package itself: its names, its imports, its generated files, and the hooks of the SDK that it stands on."""

from __future__ import annotations

import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import openai
import pytest
from openai._streaming import SSEDecoder

import vllm_connect
from tests.ends import NEWEST_ONLY, TESTS, reached

ROOT = Path(__file__).parent.parent


def test_names() -> None:
    """Every public name is there, and importing the package alone loads neither the SDK nor the network."""
    for name in vllm_connect.__all__:
        assert getattr(vllm_connect, name) is not None
    assert set(vllm_connect.__all__) <= set(dir(vllm_connect))
    with pytest.raises(AttributeError, match="nothing"):
        _ = vllm_connect.nothing
    code = "import sys, vllm_connect; assert not {'openai', 'pydantic', 'httptools'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("name", ["OpenAI", "AsyncOpenAI"])
def test_importing_a_client_loads_no_answers(name: str) -> None:
    """What reads answers comes with the first one: the types of all of them cost 20 ms, beside `import openai`."""
    late = "{'vllm_connect.client.replies', 'vllm_connect.client.lane', 'platformdirs', 'tomllib'}"
    code = f"import sys; from vllm_connect import {name}; print(sorted({late} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"


@pytest.mark.skipif(importlib.util.find_spec("ruff") is None, reason="ruff is only in the newest environment")
def test_generated_files_are_fresh() -> None:
    """Generated files are what their generators make today; `./dev generate` mends it."""
    shown = subprocess.run(
        [sys.executable, "-m", "generate", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert shown.returncode == 0, f"stale: {shown.stdout}{shown.stderr}"


@pytest.mark.parametrize("name", NEWEST_ONLY)
def test_what_runs_on_the_newest_openai_only(name: str) -> None:
    """Such tests exist, have a reason, and touch nothing of openai but the classes of its errors."""
    assert NEWEST_ONLY[name]
    place = TESTS / name
    assert place.exists()
    for file in place.rglob("*.py") if place.is_dir() else [place]:
        for used in reached(file):
            package, _, attribute = used.rpartition(".")
            assert package == "openai", (file, used)
            assert issubclass(getattr(openai, attribute), Exception), (file, used)


HOOKS = [
    "_build_headers",
    "_build_request",
    "_make_status_error",
    "_make_status_error_from_response",
    "_prepare_options",
    "_make_sse_decoder",
    "_process_response",
    "_process_response_data",
    "_refresh_api_key",
    "_validate_headers",
    "base_url",
    "copy",
    "request",
    "with_options",
]


@pytest.mark.parametrize("kind", [openai.OpenAI, openai.AsyncOpenAI])
@pytest.mark.parametrize("name", HOOKS)
def test_sdk_hooks(kind: type[Any], name: str) -> None:
    """The SDK still has the hooks that our clients override, and `_build_request` still reads `retries_taken`."""
    hook = inspect.getattr_static(kind, name, None)
    assert hook is not None
    if name in ("_build_request", "_process_response"):
        assert "retries_taken" in inspect.signature(getattr(kind, name)).parameters


@pytest.mark.parametrize("kind", [openai.Stream, openai.AsyncStream])
def test_hooks_of_the_sdks_streams(kind: type[Any]) -> None:
    """The SDK's streams still run through the generator that ours watch, with a decoder that reads line by line."""
    assert inspect.isgeneratorfunction(kind.__stream__) or inspect.isasyncgenfunction(kind.__stream__)
    assert "_decoder" in kind.__annotations__
    assert list(inspect.signature(SSEDecoder.decode).parameters) == ["self", "line"]


def test_every_argument_of_the_sdk_is_known() -> None:
    """Each argument of the SDK's constructor is ours too, or one of the platform that is refused by name."""
    from vllm_connect.client.arguments import PLATFORM_ARGUMENTS  # noqa: PLC0415

    theirs = {
        name for name in inspect.signature(openai.OpenAI.__init__).parameters if not name.startswith("_")
    }
    ours = set(inspect.signature(vllm_connect.OpenAI.__init__).parameters)
    assert theirs - {"self"} <= ours | PLATFORM_ARGUMENTS


def test_parity() -> None:
    """The async client has every public name of the blocking one, with the same arguments."""
    blocking, asynchronous = vllm_connect.OpenAI, vllm_connect.AsyncOpenAI
    for name in ("__init__", "copy", "wait_until_ready", "request"):
        assert list(inspect.signature(getattr(blocking, name)).parameters) == list(
            inspect.signature(getattr(asynchronous, name)).parameters
        )
    assert {name for name in vars(blocking) if not name.startswith("_")} == {
        name for name in vars(asynchronous) if not name.startswith("_")
    }
