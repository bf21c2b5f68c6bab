"""LoRA adapters loaded and unloaded while a simulated server runs."""

from typing import Any

import pytest

from tests.simulator.simulated import Answer, ask, chat
from vllm_connect.simulator import Simulator

LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"
POET = {"lora_name": "poet", "lora_path": "/adapters/poet"}


def post(server: Simulator, path: str, body: Any) -> Answer:
    return ask(server, "POST", path, body)


def test_load_and_unload() -> None:
    """A loaded adapter is listed and answers by its name; an unloaded one is gone; both are told as bare text."""
    with Simulator(allow_runtime_lora_updating=True, enable_lora=True) as server:
        loaded = post(server, LOAD, POET)
        assert (loaded.status, loaded.body) == (200, b"Success: LoRA adapter 'poet' added successfully.")
        assert "content-type" not in loaded.headers
        assert [card["id"] for card in ask(server, "GET", "/v1/models").json()["data"]] == [
            "sim-model",
            "poet",
        ]
        assert chat(server, model="poet", max_tokens=1).json()["model"] == "poet"
        assert post(server, LOAD, POET | {"load_inplace": True}).status == 200
        unloaded = post(server, UNLOAD, {"lora_name": "poet"})
        assert (unloaded.status, unloaded.body) == (
            200,
            b"Success: LoRA adapter 'poet' removed successfully.",
        )
        assert chat(server, model="poet").status == 404


REFUSED: list[tuple[str, Any, int, str, str]] = [
    (LOAD, POET, 400, "InvalidUserInput",
     ("The lora adapter 'poet' has already been loaded. If you want to load the adapter in place,"
      " set 'load_inplace' to True.")),
    (LOAD, {"lora_name": "", "lora_path": "x"}, 400, "InvalidUserInput",
     "Both 'lora_name' and 'lora_path' must be provided."),
    (LOAD, {"lora_name": "sim-model", "lora_path": "x"}, 400, "InvalidUserInput",
     "The lora adapter 'sim-model' conflicts with a served base model."),
    (LOAD, {"lora_name": "painter", "lora_path": "elsewhere"}, 404, "NotFoundError",
     "Loading lora painter failed: No adapter found for elsewhere"),
    (LOAD, {"lora_name": "painter"}, 400, "Bad Request",
     ("1 validation error:\n  {'type': 'missing', 'loc': 'body.lora_path', 'msg': 'Field required',"
      " 'input': '<dict of 1 items>'}")),
    (UNLOAD, {"lora_name": ""}, 400, "InvalidUserInput",
     "'lora_name' needs to be provided to unload a LoRA adapter."),
    (UNLOAD, {"lora_name": "painter"}, 404, "NotFoundError", "The lora adapter 'painter' cannot be found."),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "status", "kind", "text"), REFUSED)
def test_refusal(path: str, body: Any, status: int, kind: str, text: str) -> None:
    """What cannot be loaded or unloaded is refused in vLLM's words."""
    with Simulator(
        allow_runtime_lora_updating=True,
        lora_modules={"poet": "/adapters/poet"},
        lora_paths=("/adapters/poet",),
    ) as server:
        answer = post(server, path, body)
    assert (answer.status, answer.error["type"], answer.error["message"]) == (status, kind, text)


def test_server_options() -> None:
    """Without adapters a load fails as a 500; without runtime updating there is no such route."""
    with Simulator(allow_runtime_lora_updating=True) as server:
        failed = post(server, LOAD, POET)
    assert (failed.status, failed.error["type"]) == (500, "InternalServerError")
    assert failed.error["message"].endswith("LoRA is not enabled. Use --enable-lora to enable LoRA.")
    with Simulator(enable_lora=True) as server:
        assert post(server, LOAD, POET).status == 404


def test_sagemaker_names() -> None:
    """The same under SageMaker's names, whose /invocations takes the adapter from a header."""
    named = {"X-Amzn-SageMaker-Adapter-Identifier": "poet"}
    with Simulator(allow_runtime_lora_updating=True, enable_lora=True) as server:
        assert post(server, "/adapters", {"name": "poet", "src": "/adapters/poet"}).body == (
            b"Adapter poet registered"
        )
        invoked = ask(server, "POST", "/invocations", {"prompt": "x", "model": "ignored"}, named)
        assert invoked.json()["model"] == "poet"
        assert ask(server, "DELETE", "/adapters/poet").body == b"Adapter poet unregistered"
        assert ask(server, "DELETE", "/adapters/poet").status == 404
