"""A chat at the terminal, from the first prompt to the last: the thin shell around values and tables."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import openai

from vllm_connect.cli.answer import Reading, chat_delta
from vllm_connect.cli.asking import streamed
from vllm_connect.cli.conversation.commands import Outcome, perform
from vllm_connect.cli.conversation.conversation import Conversation, Message
from vllm_connect.cli.conversation.prompt import Prompt
from vllm_connect.cli.failure import Failure, told
from vllm_connect.cli.rendering import AnswerPrinter, say_more
from vllm_connect.cli.terminal import complain, shown, single_line, write

if TYPE_CHECKING:
    from vllm_connect.client import OpenAI

__all__ = ["Session"]


class Session:
    """One interactive chat; what fails in it is told, and the chat goes on."""

    def __init__(
        self, client: OpenAI, conversation: Conversation, prompt: Prompt, *, reasoning: bool, stats: bool
    ) -> None:
        self._client = client
        self._conversation = conversation
        self._prompt = prompt
        self._reasoning = reasoning
        self._stats = stats

    def run(self) -> None:
        """Chat until the input ends, by /exit, Ctrl-D, or Ctrl-C at an empty line."""
        ended = False
        while not ended:
            try:
                text = self._prompt.message()
            except (EOFError, KeyboardInterrupt):
                write("\n")
                return
            if text:
                ended = self._performed(text)

    def _performed(self, text: str) -> bool:
        """Do what a line asks for; return whether the chat is over."""
        conversation = self._conversation
        try:
            outcome = (
                perform(text, conversation)
                if text.startswith("/")
                else Outcome(conversation=conversation, question=conversation.question(text))
            )
            self._conversation = outcome.conversation
            self._act(outcome)
        except (Failure, openai.OpenAIError) as error:
            complain(told(error))
        except KeyboardInterrupt:
            write("\n")
        else:
            return outcome.ends
        return False

    def _act(self, outcome: Outcome) -> None:
        if outcome.told:
            write(f"{shown(outcome.told)}\n")
        if outcome.lists_models:
            for model in self._client.models.list():
                write(f"{single_line(model.id)}\n")
        if outcome.saves_to is not None:
            _save(outcome.conversation, outcome.saves_to)
        if outcome.question is not None:
            self._ask(outcome.question)

    def _ask(self, question: Message) -> None:
        """Ask, and keep question and answer: a stopped answer as far as it came, a failed one not at all."""
        reading = Reading(time.monotonic)
        conversation, self._conversation = self._conversation, self._conversation.failed(question)
        try:
            self._receive(conversation, question, reading)
        except KeyboardInterrupt:
            stopped = reading.answer()
            if stopped.text:
                self._conversation = conversation.answered(question, stopped)
            complain("stopped; /retry asks again")
            return
        answer = reading.answer()
        self._conversation = conversation.answered(question, answer)
        say_more(answer, stats=self._stats)

    def _receive(self, conversation: Conversation, question: Message, reading: Reading) -> None:
        create = self._client.chat.completions.create
        with AnswerPrinter(sys.stdout, reasoning=self._reasoning) as printer:
            said = conversation.messages(question)
            with streamed(create, conversation.request_parameters, messages=said) as stream:
                for piece in reading.pieces(stream, chat_delta):
                    printer.show(piece)


def _save(conversation: Conversation, path: Path) -> None:
    """Write a conversation; an existing file is not written over."""
    body = {**conversation.request_parameters, "messages": conversation.messages()}
    try:
        with path.open("x", encoding="utf-8") as file:
            json.dump(body, file, indent=2, ensure_ascii=False)
            file.write("\n")
    except OSError as cause:
        raise Failure(f"{path} cannot be written: {cause.strerror}") from None
    write(f"{shown(str(path))} holds the conversation.\n")
