"""One answer to one question: shown as it comes, or as one JSON object."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import typer

from vllm_connect.cli.answer import Delta, Reading
from vllm_connect.cli.rendering import AnswerPrinter, is_done, say_more
from vllm_connect.cli.terminal import print_json

__all__ = ["show_answer"]


def show_answer(
    ask: Callable[[], Any], delta_of: Callable[[Any], Delta], *, json: bool, reasoning: bool, stats: bool
) -> None:
    """Ask and show the answer; exit code 1 where the server did not finish it."""
    reading = Reading(time.monotonic)
    if json:
        with ask() as stream:
            for _piece in reading.pieces(stream, delta_of):
                pass
        print_json(reading.answer().as_json())
    else:
        with AnswerPrinter(sys.stdout, reasoning=reasoning) as printer, ask() as stream:
            for piece in reading.pieces(stream, delta_of):
                printer.show(piece)
    answer = reading.answer()
    say_more(answer, stats=stats)
    if not is_done(answer):
        raise typer.Exit(1)
