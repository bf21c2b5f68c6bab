"""What plain openai makes of the bytes of an answer, and how two such objects are told apart."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import anyio
import openai
from openai import BaseModel

__all__ = ["difference", "sdk_reading"]

http = importlib.import_module("httpx" if int(openai.__version__.partition(".")[0]) < 3 else "httpx2")

MESSAGES: Any = [{"role": "user", "content": "x"}]
ASKING: dict[str, Callable[[Any], Any]] = {
    "CHAT": lambda client: client.chat.completions.create(model="m", messages=MESSAGES),
    "CHAT_CHUNK": lambda client: next(
        client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
    ),
    "COMPLETION": lambda client: client.completions.create(model="m", prompt="x"),
    "COMPLETION_CHUNK": lambda client: next(client.completions.create(model="m", prompt="x", stream=True)),
    "EMBEDDINGS": lambda client: client.embeddings.create(model="m", input="x", encoding_format="float"),
    "ENCODED_EMBEDDINGS": lambda client: client.embeddings.create(model="m", input="x"),
    "MODELS": lambda client: client.models.list(),
}


def sdk_reading(form: str, body: bytes) -> Any:
    """Return what a call of plain openai returns, or the first chunk it yields, for these bytes."""
    if form.endswith("CHUNK"):
        body = b"data: " + body + b"\n\ndata: [DONE]\n\n"
    kind = "text/event-stream" if form.endswith("CHUNK") else "application/json"
    transport = http.MockTransport(lambda _: http.Response(200, content=body, headers={"content-type": kind}))
    given: dict[str, Any] = {"base_url": "http://server/v1", "api_key": "none", "max_retries": 0}
    if form == "ASYNC_MODELS":
        return anyio.run(models_asynchronously, transport, given)
    with http.Client(transport=transport) as sender, openai.OpenAI(http_client=sender, **given) as client:
        return ASKING[form](client)


async def models_asynchronously(transport: Any, given: dict[str, Any]) -> Any:
    async with (
        http.AsyncClient(transport=transport) as sender,
        openai.AsyncOpenAI(http_client=sender, **given) as client,
    ):
        return await client.models.list()


def difference(one: Any, other: Any, where: str = "answer") -> str | None:
    """Return where two answers differ in value, in type at any depth, or in what was set; None if nowhere."""
    if type(one) is not type(other):
        return f"{where}: {type(one)} and {type(other)}"
    if isinstance(one, BaseModel):
        if one.model_fields_set != other.model_fields_set:
            return f"{where}: {one.model_fields_set ^ other.model_fields_set} set in one of them"
        return difference(fields(one), fields(other), where) or difference(
            one.model_extra, other.model_extra, f"{where}.extra"
        )
    if isinstance(one, dict):
        if list(one) != list(other):
            return f"{where}: {list(one)} and {list(other)}"
        return first(difference(one[name], other[name], f"{where}.{name}") for name in one)
    if isinstance(one, list):
        if len(one) != len(other):
            return f"{where}: {len(one)} and {len(other)} items"
        return first(
            difference(a, b, f"{where}[{i}]") for i, (a, b) in enumerate(zip(one, other, strict=True))
        )
    # By their text: NaN is not itself, and -0.0 is 0.0.
    same = repr(one) == repr(other) if isinstance(one, float) else one == other
    return None if same else f"{where}: {one!r:.60} and {other!r:.60}"


def fields(model: BaseModel) -> dict[str, Any]:
    return {name: value for name, value in model.__dict__.items() if name != "_request_id"}


def first(differences: Any) -> str | None:
    return next((found for found in differences if found), None)
