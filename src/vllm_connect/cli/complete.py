"""`vllm-connect complete`: let a model go on with a text."""

from __future__ import annotations

from typing import Annotated

import typer

from vllm_connect.cli.incoming import prompt_text
from vllm_connect.cli.options import Connection, Json, MaxTokens, Model, Options, Stats, Timeout, connecting
from vllm_connect.cli.parameters import parse_options

__all__ = ["complete"]

Quick = Annotated[
    str | None,
    typer.Option("-q", "--quick", metavar="PROMPT", help="The text to go on with; a piped text follows it."),
]


@connecting
def complete(
    connection: Connection,
    quick: Quick = None,
    model: Model = None,
    max_tokens: MaxTokens = None,
    option: Options = None,
    stats: Stats = False,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Let a model go on with a text.

    The text is given by -q or on stdin, and goes to the model as it is, without a chat template.
    """
    from vllm_connect.cli.answer import text_delta  # noqa: PLC0415
    from vllm_connect.cli.asking import streamed  # noqa: PLC0415
    from vllm_connect.cli.oneshot import show_answer  # noqa: PLC0415

    limit = {} if max_tokens is None else {"max_tokens": max_tokens}
    parameters = {**limit, **parse_options(option)}
    prompt = prompt_text(quick)
    if prompt is None:
        raise typer.BadParameter("give a text to go on with by -q, or on stdin")
    with connection.client(model=model, timeout=timeout) as client:
        show_answer(
            lambda: streamed(client.completions.create, parameters, prompt=prompt),
            text_delta,
            json=json,
            reasoning=False,
            stats=stats,
        )
