"""/v1/responses of a simulated server, asked by the SDK and read off the wire."""

import json
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.simulator.simulated import Answer, ask
from vllm_connect.simulator import Simulator

RESPONSES = "/v1/responses"
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS: list[Any] = [{"type": "function", "name": "get_weather", "parameters": WEATHER, "strict": True}]


@pytest.fixture(scope="module")
def storing() -> Iterator[Simulator]:
    with Simulator(reasoning_parser="qwen3", enable_responses_api_store=True) as server:
        yield server


@pytest.fixture(scope="module")
def plain() -> Iterator[Simulator]:
    with Simulator(models=("sim-model", "sim-alias")) as server:
        yield server


@pytest.fixture
def client(storing: Simulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=storing.url, api_key="none", max_retries=0) as made:
        yield made


def respond(server: Simulator, **body: Any) -> Answer:
    return ask(server, "POST", RESPONSES, {"input": "How is the weather?", **body})


def test_create(client: openai.OpenAI) -> None:
    """The SDK reads a response: what was thought, what was said, what it took; the same input, the same text."""
    first, again = (client.responses.create(model="sim-model", input="Hello") for _ in range(2))
    assert [item.type for item in first.output] == ["reasoning", "message"]
    assert first.output_text == again.output_text != ""
    assert (first.status, first.temperature, first.tool_choice) == ("completed", 1.0, "none")
    assert first.usage is not None
    assert first.usage.total_tokens == first.usage.input_tokens + first.usage.output_tokens
    assert first.usage.output_tokens_details.reasoning_tokens > 0


def test_stream(client: openai.OpenAI) -> None:
    """The SDK's stream adds up to the response that is told as a whole, each item after the other."""
    with client.responses.stream(model="sim-model", input="Hello") as stream:
        told = list(stream)
        final = stream.get_final_response()
    whole = client.responses.create(model="sim-model", input="Hello")
    assert final.output_text == whole.output_text
    assert [event.sequence_number for event in told] == list(range(len(told)))
    kinds = list(dict.fromkeys(event.type for event in told))
    assert kinds == [
        "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
        "response.reasoning_text.delta", "response.reasoning_text.done", "response.content_part.done",
        "response.output_item.done", "response.output_text.delta", "response.output_text.done",
        "response.completed",
    ]  # fmt: skip


def test_cut(storing: Simulator) -> None:
    """What runs into its limit is incomplete, as a whole and in a stream, which ends as completed all the same."""
    whole = respond(storing, max_output_tokens=2).json()
    last = respond(storing, max_output_tokens=2, stream=True).named_events[-1]
    assert last["type"] == "response.completed"
    for response in (whole, last["response"]):
        assert (response["status"], response["incomplete_details"]) == (
            "incomplete",
            {"reason": "max_output_tokens"},
        )
        assert response["usage"]["output_tokens"] == 2


@pytest.mark.parametrize("choice", ["auto", "required", {"type": "function", "name": "get_weather"}])
def test_tools(storing: Simulator, choice: Any) -> None:
    """A call keeps to its schema, and its stream adds up to its arguments."""
    asked = {"tools": TOOLS, "tool_choice": choice, "reasoning": {"effort": "none"}}
    (call,) = respond(storing, **asked).json()["output"]
    assert (call["type"], call["name"], call["status"]) == ("function_call", "get_weather", "completed")
    assert json.loads(call["arguments"]).keys() == {"city"}
    told = respond(storing, **asked, stream=True).named_events
    pieces = [event["delta"] for event in told if event["type"] == "response.function_call_arguments.delta"]
    done = next(event for event in told if event["type"] == "response.function_call_arguments.done")
    assert "".join(pieces) == done["arguments"] == call["arguments"]


def test_tool_result(storing: Simulator) -> None:
    """After a call's result the model answers in words."""
    history = [
        {"role": "user", "content": "How is the weather?"},
        {"type": "function_call", "call_id": "c", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "sunny"},
    ]
    output = respond(storing, input=history, tools=TOOLS, reasoning={"effort": "none"}).json()["output"]
    assert [item["type"] for item in output] == ["message"]


def test_format(storing: Simulator) -> None:
    """The text keeps to a schema, which is shown as it was asked for."""
    described = {"type": "json_schema", "name": "weather", "schema": WEATHER}
    response = respond(storing, text={"format": described}).json()
    assert json.loads(response["output"][-1]["content"][0]["text"]).keys() == {"city"}
    assert response["text"]["format"] == {**described, "description": None, "strict": None}


def test_logprobs(storing: Simulator) -> None:
    """Asked for, each token comes with its likelihood; without reasoning the stream's add up to the whole's."""
    asked = {
        "include": ["message.output_text.logprobs"],
        "top_logprobs": 2,
        "reasoning": {"effort": "none"},
        "max_output_tokens": 3,
    }
    (message,) = respond(storing, **asked).json()["output"]
    tokens = message["content"][0]["logprobs"]
    assert [len(token["top_logprobs"]) for token in tokens] == [2, 2, 2]
    told = respond(storing, **asked, stream=True).named_events
    pieces = [
        one for event in told if event["type"] == "response.output_text.delta" for one in event["logprobs"]
    ]
    assert [one["token"] for one in pieces] == [token["token"] for token in tokens]


def test_store(client: openai.OpenAI) -> None:
    """A stored response can be had again and be answered to, without its instructions."""
    first = client.responses.create(model="sim-model", input="Hello", instructions="Be brief.")
    assert client.responses.retrieve(first.id) == first
    second = client.responses.create(model="sim-model", input="And now?", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    alone = client.responses.create(model="sim-model", input="And now?")
    assert second.usage is not None
    assert alone.usage is not None
    assert second.usage.input_tokens > alone.usage.input_tokens


def test_background() -> None:
    """What runs in the background is queued until it is ready or cancelled; what is ready cannot be cancelled."""
    with (
        Simulator(enable_responses_api_store=True, first_token_delay=0.3) as server,
        openai.OpenAI(base_url=server.url, api_key="none", max_retries=0) as client,
    ):
        kept, given_up = (
            client.responses.create(model="sim-model", input="Hello", background=True) for _ in range(2)
        )
        assert (kept.status, kept.output) == ("queued", [])
        assert client.responses.cancel(given_up.id).status == "cancelled"
        deadline = time.monotonic() + 5
        while (now := client.responses.retrieve(kept.id)).status == "queued":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert (now.status, bool(now.output_text)) == ("completed", True)
        assert client.responses.retrieve(given_up.id).status == "cancelled"
        with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
            client.responses.cancel(kept.id)


def test_background_stream(storing: Simulator) -> None:
    """The events of a stream in the background can be had again, from any of them on."""
    asked = {"background": True, "stream": True, "request_id": "resp_again", "max_output_tokens": 3}
    told = respond(storing, **asked).named_events
    again = ask(storing, "GET", f"{RESPONSES}/resp_again?stream=true&starting_after=3")
    assert again.named_events == told[4:]


REFUSED: list[tuple[dict[str, Any], int, str, str | None, str]] = [
    ({"previous_response_id": "resp_no"}, 404, "invalid_request_error", "response_id",
     "Response with id 'resp_no' not found."),
    ({"background": True}, 400, "invalid_request_error", "background",
     ("This vLLM engine does not support `store=True` and therefore does not support the background mode. To enable"
      " these features, set the environment variable `VLLM_ENABLE_RESPONSES_API_STORE=1` when launching the vLLM"
      " server.")),
    ({"background": True, "store": False}, 400, "BadRequestError", "background",
     "background can only be used when `store` is true (parameter=background)"),
    ({"tool_choice": "required"}, 400, "BadRequestError", "tool_choice",
     "Tool choice 'required' must be specified with 'tools' parameter. (parameter=tool_choice)"),
    ({"tools": TOOLS, "tool_choice": {"type": "function", "name": "no"}}, 400, "BadRequestError", "tool_choice",
     "Tool choice 'function' not found in 'tools' parameter. (parameter=tool_choice)"),
    ({"prompt": {"id": "x"}}, 400, "BadRequestError", "prompt",
     "prompt template is not supported (parameter=prompt)"),
    ({"max_output_tokens": 5000}, 400, "BadRequestError", "max_output_tokens",
     ("max_output_tokens=5000 cannot be greater than max_model_len=4096. Please request fewer output tokens."
      " (parameter=max_output_tokens, value=5000)")),
    ({"input": []}, 400, "BadRequestError", None,
     "Cannot apply chat template to an empty conversation. Provide at least one message."),
    ({"model": "no"}, 404, "NotFoundError", "model",
     "The model `no` does not exist. Valid aliases: sim-model, sim-alias."),
    ({"text": {"format": {"type": "json_object"}}, "structured_outputs": {"choice": ["a"]}}, 400, "BadRequestError",
     "structured_outputs", "Cannot specify both structured_outputs and text.format (parameter=structured_outputs)"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "kind", "param", "text"), REFUSED)
def test_refusal(  # noqa: PLR0917 - the columns of the table
    plain: Simulator, body: dict[str, Any], status: int, kind: str, param: str | None, text: str
) -> None:
    """A wrong request gets vLLM's status, type, param and text."""
    answer = respond(plain, **body)
    assert (answer.status, answer.error) == (
        status,
        {"message": text, "type": kind, "param": param, "code": status},
    )


def test_nothing_stored(plain: Simulator) -> None:
    """Without the store nothing is kept, though it was asked for."""
    response = respond(plain, max_output_tokens=1).json()
    assert ask(plain, "GET", f"{RESPONSES}/{response['id']}").status == 404


def test_time_it_took() -> None:
    """A server that tells of it says in each response how long it took."""
    with Simulator(enable_per_request_metrics=True, first_token_delay=0.02, token_delay=0.01) as server:
        told = respond(server, max_output_tokens=3).json()["metrics"]
    assert (told["time_to_first_token_ms"], told["generation_time_ms"], told["mean_itl_ms"]) == (20, 20, 10)
