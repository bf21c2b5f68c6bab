"""The prompt of a chat: line editing and history where Python has readline, plain lines where it has not."""

from __future__ import annotations

import importlib
from types import ModuleType

from vllm_connect.cli.conversation.history import History
from vllm_connect.cli.terminal import complain

__all__ = ["Prompt"]

BLOCK = '"""'


class Prompt:
    """Asks for messages; a history of None keeps nothing."""

    def __init__(self, history: History | None) -> None:
        self._history = history
        self._readline = _readline()
        if self._readline is not None:
            self._readline.set_auto_history(False)
        for line in history.lines if history else ():
            self._recall(line)

    def message(self) -> str:
        """Return the next message or command.

        Raises EOFError at the end of the input, and KeyboardInterrupt for Ctrl-C at an empty line; elsewhere
        Ctrl-C gives up what was typed.
        """
        while True:
            try:
                line = self._line("> ")
            except KeyboardInterrupt:
                if not self._is_typing():
                    raise
                print()  # noqa: T201
                continue
            if not line.lstrip().startswith(BLOCK):
                return line.strip()
            block = self._block(line.lstrip().removeprefix(BLOCK))
            if block is not None:
                return block

    def _block(self, first: str) -> str | None:
        """Return lines up to the mark that ends them; None when Ctrl-C gives them up."""
        lines = [first]
        try:
            while not lines[-1].rstrip().endswith(BLOCK):
                lines.append(self._line(". "))
        except KeyboardInterrupt:
            print()  # noqa: T201
            return None
        lines[-1] = lines[-1].rstrip().removesuffix(BLOCK)
        return "\n".join(lines).strip("\n")

    def _line(self, prompt: str) -> str:
        while True:
            try:
                line = input(prompt).encode(errors="surrogateescape").decode()
            except UnicodeError:
                complain(
                    "that line is not in the terminal's encoding; set a UTF-8 locale, such as LANG=C.UTF-8"
                )
                continue
            if line.strip():
                self._recall(line)
                self._keep(line)
            return line

    def _is_typing(self) -> bool:
        """Whether the line that was interrupted holds anything; without readline nobody can tell."""
        return self._readline is not None and bool(self._readline.get_line_buffer())

    def _recall(self, line: str) -> None:
        if self._readline is not None and "\0" not in line:
            self._readline.add_history(line)

    def _keep(self, line: str) -> None:
        if self._history is None:
            return
        try:
            self._history.add(line)
        except OSError as cause:
            self._history = None
            complain(f"the history is not kept any longer: {cause}")


def _readline() -> ModuleType | None:
    try:
        return importlib.import_module("readline")
    except ImportError:
        return None
