"""`vllm-connect demo`: the client's main job against two stand-in servers, in a few seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from vllm_connect.cli.terminal import shown

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam

__all__ = ["demo"]

KEY = "demo-key"
QUESTION = "Why serve a model yourself?"


def demo() -> None:
    """Show the client at work on two stand-in servers.

    It connects, lists models, chats, streams, completes, embeds, and explains an error; in seconds.
    """
    from vllm_connect.client import OpenAI  # noqa: PLC0415  # imports the SDK
    from vllm_connect.simulator import Simulator  # noqa: PLC0415

    with (
        Simulator(models=("demo-model",), api_key=KEY, token_delay=0.03) as generating,
        Simulator(kind="pooling", models=("demo-embedder",)) as pooling,
    ):
        _step("Two stand-in servers", f"{generating.url} (text), {pooling.url} (embeddings)")
        address = f"127.0.0.1:{generating.port}"
        with OpenAI(base_url=address, api_key=KEY) as client, OpenAI(base_url=pooling.url) as embedder:
            _step(
                "Connect",
                f'client = OpenAI(base_url="{address}", api_key=...)  ->  {client.settings.endpoint}',
            )
            _show_generation(client)
            _show_embeddings(embedder)
            _show_errors(client)
    typer.echo("\nNext: put VLLM_BASE_URL and VLLM_API_KEY in place, and `from vllm_connect import OpenAI`.")


def _show_generation(client: OpenAI) -> None:
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": QUESTION}]
    info = client.server.info()
    _step("Ask what it is: client.server.info()", f"vLLM {info.version}")
    for model in client.models.list():
        _step("List models", f"{model.id}, context {info.models[0].max_model_len} tokens")
    answer = client.chat.completions.create(messages=messages)
    _step("Chat, model found by itself", f"{answer.model}: {answer.choices[0].message.content}")
    typer.secho("Stream", bold=True)
    typer.echo("  ", nl=False)
    for chunk in client.chat.completions.create(messages=messages, stream=True):
        typer.echo(shown(chunk.choices[0].delta.content or "") if chunk.choices else "", nl=False)
    typer.echo()
    completion = client.completions.create(prompt="A server that", max_tokens=8)
    _step("Complete", f"A server that ...{completion.choices[0].text}")


def _show_embeddings(embedder: OpenAI) -> None:
    vectors = embedder.embeddings.create(input=["one text", "another"]).data
    _step("Embed", f"{len(vectors)} vectors of {len(vectors[0].embedding)} numbers")


def _show_errors(client: OpenAI) -> None:
    from openai import OpenAIError  # noqa: PLC0415

    try:
        client.with_options(api_key="wrong-key").models.list()
    except OpenAIError as error:
        _step("An error that explains itself", f"{type(error).__name__}: {error}")


def _step(title: str, text: str) -> None:
    typer.secho(title, bold=True)
    typer.echo(f"  {shown(text)}")


if TYPE_CHECKING:
    from vllm_connect.client import OpenAI
