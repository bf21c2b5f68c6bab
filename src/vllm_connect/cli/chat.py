"""`vllm-connect chat`: talk with a served model, or ask it one thing."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vllm_connect.cli.incoming import checked, prompt_text
from vllm_connect.cli.options import Connection, Json, MaxTokens, Model, Options, Stats, Timeout, connecting
from vllm_connect.cli.parameters import parse_options
from vllm_connect.cli.terminal import complain, single_line

if TYPE_CHECKING:
    from vllm_connect.cli.conversation import Conversation
    from vllm_connect.cli.conversation.history import History
    from vllm_connect.client import OpenAI

__all__ = ["chat"]

Quick = Annotated[
    str | None,
    typer.Option(
        "-q", "--quick", metavar="TEXT", help="Ask this, show the answer, end; a piped text follows it."
    ),
]
System = Annotated[str | None, typer.Option("--system", metavar="TEXT", help="The system prompt.")]
Images = Annotated[
    list[str] | None,
    typer.Option("--image", metavar="PATH|URL", help="An image to go with the (first) question. Repeatable."),
]
Reasoning = Annotated[
    bool | None,
    typer.Option(
        "--reasoning/--no-reasoning",
        help="Show the reasoning; by default on a terminal only.",
        show_default=False,
    ),
]
KeepHistory = Annotated[
    bool,
    typer.Option(
        "--history/--no-history",
        envvar="VLLMCONNECT_HISTORY",
        show_envvar=True,
        help="Keep the lines typed, for the next chat's line editing.",
    ),
]


@connecting
def chat(
    connection: Connection,
    quick: Quick = None,
    system: System = None,
    image: Images = None,
    model: Model = None,
    max_tokens: MaxTokens = None,
    option: Options = None,
    reasoning: Reasoning = None,
    stats: Stats = False,
    timeout: Timeout = None,
    history: KeepHistory = True,
    json: Json = False,
) -> None:
    """Talk with a model, or ask it one thing.

    At a terminal line by line, where /help shows what can be done; with -q or a piped text just once.
    """
    limit = {} if max_tokens is None else {"max_tokens": max_tokens}
    parameters = {**limit, **parse_options(option)}
    text = prompt_text(quick)
    is_interactive = text is None and sys.stdin.isatty() and sys.stdout.isatty() and not json
    if text is None and not is_interactive:
        raise typer.BadParameter("say something with -q, or on stdin")
    shows_reasoning = sys.stdout.isatty() if reasoning is None else reasoning
    conversation = _conversation(system, image, parameters)
    with connection.client(model=model, timeout=timeout) as client:
        if text is None:
            _talk(client, conversation, history=history, reasoning=shows_reasoning, stats=stats)
        else:
            _ask(client, conversation, text, json=json, reasoning=shows_reasoning, stats=stats)


def _conversation(
    system: str | None, images: list[str] | None, parameters: Mapping[str, Any]
) -> Conversation:
    from vllm_connect.cli.conversation import Conversation  # noqa: PLC0415  # imports the SDK
    from vllm_connect.cli.image import image_part  # noqa: PLC0415

    return Conversation(
        system=None if system is None else checked(system, "--system"),
        parameters=parameters,
        images=tuple(image_part(where) for where in images or ()),
    )


def _ask(
    client: OpenAI, conversation: Conversation, text: str, *, json: bool, reasoning: bool, stats: bool
) -> None:
    from vllm_connect.cli.answer import chat_delta  # noqa: PLC0415
    from vllm_connect.cli.asking import streamed  # noqa: PLC0415
    from vllm_connect.cli.oneshot import show_answer  # noqa: PLC0415

    said = conversation.messages(conversation.question(text))
    show_answer(
        lambda: streamed(client.chat.completions.create, conversation.request_parameters, messages=said),
        chat_delta,
        json=json,
        reasoning=reasoning,
        stats=stats,
    )


def _talk(client: OpenAI, conversation: Conversation, *, history: bool, reasoning: bool, stats: bool) -> None:
    from vllm_connect.cli.conversation import Session  # noqa: PLC0415
    from vllm_connect.cli.conversation.prompt import Prompt  # noqa: PLC0415

    facts = client.server.info()
    names = ", ".join(model.id for model in facts.models)
    typer.echo(single_line(f"{facts.url} serves {names}. /help shows the commands, Ctrl-D ends."))
    prompt = Prompt(_history() if history else None)
    Session(client, conversation, prompt, reasoning=reasoning, stats=stats).run()


def _history() -> History | None:
    from vllm_connect.cli.conversation.history import History, history_path  # noqa: PLC0415

    path = history_path()
    try:
        return History(path)
    except OSError as cause:
        complain(f"the history is not kept: {path}: {cause.strerror}")
        return None
