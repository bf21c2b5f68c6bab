"""Asking a simulated server over a plain connection of the standard library."""

import contextlib
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vllm_connect.simulator import Simulator

MESSAGES = [{"role": "user", "content": "Tell me about the river."}]
CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json()["error"]

    @property
    def events(self) -> list[Any]:
        """The events of a stream, whose end is checked."""
        events = self.body.decode().split("\n\n")
        assert events[-2:] == ["data: [DONE]", ""]
        return [json.loads(event.removeprefix("data: ")) for event in events[:-2]]

    @property
    def named_events(self) -> list[Any]:
        """The events of a stream in which each is named by its type and none says that it is the last."""
        parts = self.body.decode().split("\n\n")
        assert parts.pop() == ""
        read = []
        for part in parts:
            name, data = part.split("\n")
            read.append(json.loads(data.removeprefix("data: ")))
            assert name == f"event: {read[-1]['type']}"
        return read


def ask(
    server: Simulator,
    method: str,
    target: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request on a connection of its own; a body that is no bytes goes as JSON."""
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    described = {"content-type": "application/json"} if content is not None else {}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
        connection.request(method, target, content, {**described, **(headers or {})})
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())


def chat(server: Simulator, **parameters: Any) -> Answer:
    return ask(server, "POST", CHAT, {"messages": MESSAGES, **parameters})


def complete(server: Simulator, prompt: object = "Once upon a time", **parameters: Any) -> Answer:
    return ask(server, "POST", COMPLETIONS, {"prompt": prompt, **parameters})


def embed(server: Simulator, given: object, **parameters: Any) -> Answer:
    return ask(server, "POST", EMBEDDINGS, {"input": given, **parameters})
