"""One answer to one question: shown as it comes, or as one JSON object."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from vllm_connect.cli.answer import Delta, Reading
from vllm_connect.cli.rendering import AnswerPrinter, say_more
from vllm_connect.cli.terminal import print_json

__all__ = ["show_answer"]


def show_answer(
    ask: Callable[[], Any], delta_of: Callable[[Any], Delta], *, json: bool, reasoning: bool, stats: bool
) -> None:
    """Ask and show the answer; raises the client's error where the server did not finish it."""
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
    say_more(reading.answer(), stats=stats)
