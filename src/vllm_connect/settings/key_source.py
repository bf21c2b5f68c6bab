"""Where an API key comes from; it is read when first needed, checked, and kept masked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vllm_connect.endpoint import Key
from vllm_connect.errors import KeyRejected

__all__ = [
    "CallableKey",
    "CommandKey",
    "FileKey",
    "GivenKey",
    "KeySource",
    "KeyringKey",
    "PromptKey",
]

COMMAND_SECONDS = 60


class KeySource(Protocol):
    """One place a key comes from; `place` says which, for people."""

    @property
    def place(self) -> str: ...

    def load(self) -> Key:
        """Return the key; raises KeyRejected, which names the place and never the key."""
        ...


@dataclass(frozen=True)
class GivenKey:
    """A key that is already here: an argument, an environment variable, a literal of a file."""

    key: Key
    place: str

    def load(self) -> Key:
        return self.key


@dataclass(frozen=True)
class CallableKey:
    """A function that gives the key of each request, as the SDK takes it; asked anew every time."""

    function: Callable[[], str | Awaitable[str]]
    place: str = "the api_key function"

    def load(self) -> Key:
        answer = self.function()
        if not isinstance(answer, str):
            raise KeyRejected(f"{self.place} gave {type(answer).__name__}; it returns the key as a str.")
        return Key(answer, source=self.place)

    async def aload(self) -> Key:
        """Return the key of a function that may be a coroutine function."""
        answer = self.function()
        if isinstance(answer, Awaitable):
            answer = await answer
        return Key(answer, source=self.place)


@dataclass(frozen=True)
class FileKey:
    """A file that holds the key and nothing else."""

    path: Path
    place: str

    def load(self) -> Key:
        try:
            text = self.path.expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as cause:
            reason = cause.strerror if isinstance(cause, OSError) else "it is not UTF-8"
            raise KeyRejected(
                f"{self.place}: the key file {self.path} cannot be read ({reason}). Name a text file that holds the key "
                "and nothing else."
            ) from None
        return Key(text, source=f"{self.place} ({self.path})")


@dataclass(frozen=True)
class CommandKey:
    """A command that prints the key, run without a shell."""

    command: tuple[str, ...]
    place: str

    def load(self) -> Key:
        try:
            ran = subprocess.run(  # noqa: S603  # the command is the user's own, from the user's own file
                self.command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as cause:
            reason = "it ran too long" if isinstance(cause, subprocess.TimeoutExpired) else str(cause)
            raise KeyRejected(f"{self.place}: `{self._shown}` did not run ({reason}).") from None
        if ran.returncode != 0:
            # What it printed may hold the key, so it is not repeated.
            raise KeyRejected(
                f"{self.place}: `{self._shown}` ended with exit code {ran.returncode}; run it by hand to see why."
            )
        return Key(ran.stdout, source=f"{self.place} (`{self._shown}`)")

    @property
    def _shown(self) -> str:
        import shlex  # noqa: PLC0415 - for an error only

        return shlex.join(self.command[:1])


@dataclass(frozen=True)
class KeyringKey:
    """An entry of the system's keyring, named as service and user."""

    service: str
    user: str
    place: str

    def load(self) -> Key:
        try:
            import keyring  # noqa: PLC0415  # an extra
            import keyring.errors  # noqa: PLC0415
        except ImportError:
            raise KeyRejected(
                f"{self.place} names the keyring, which needs an extra; pip install 'vllm-connect[keyring]'."
            ) from None
        try:
            text = keyring.get_password(self.service, self.user)
        except keyring.errors.KeyringError as cause:
            raise KeyRejected(f"{self.place}: the keyring cannot be read ({cause}).") from None
        if text is None:
            raise KeyRejected(
                f"{self.place}: the keyring holds nothing for {self.service}/{self.user}. "
                f"Store it with: keyring set {self.service} {self.user}"
            )
        return Key(text, source=f"{self.place} (keyring {self.service}/{self.user})")


@dataclass(frozen=True)
class PromptKey:
    """A question at the terminal; asked once, not echoed."""

    server: str
    place: str

    def load(self) -> Key:
        if not sys.stdin.isatty():
            raise KeyRejected(f"{self.place} asks for the key at a terminal, and there is none.")
        import getpass  # noqa: PLC0415 - few programs have a terminal to ask at

        return Key(getpass.getpass(f"API key for {self.server}: "), source="the prompt")
