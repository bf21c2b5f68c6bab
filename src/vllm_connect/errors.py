"""Every exception of vllm-connect; each inherits the openai class that a caller already catches.

openai.OpenAIError
├── SettingsError (ValueError)            a setting is wrong: which, where it was set, what to write instead
│   ├── EndpointError                     an address that names no server
│   ├── KeyRejected                       a key that cannot be sent as it is; never echoed
│   └── ModelNotChosen                    `model` left out where the server offers none or several
├── openai.APIResponseValidationError
│   └── InvalidAnswer                     a complete answer that is not what was asked for
├── openai.APIConnectionError
│   ├── ServerUnreachable                 no connection, or it broke before the answer was complete
│   │   └── AnswerMalformed               what came is not HTTP, or breaks its rules; not tried again
│   ├── AnswerTooLarge                    an answer passed one of the Limits and was not read further
│   ├── KeyRefused                        a key would leave in the clear or for a server it does not belong to
│   └── openai.APITimeoutError
│       ├── DeadlineExceeded              one of the timers ran out; says which
│       └── NotReady                      the server did not become ready in the time given
└── openai.APIStatusError
    └── RedirectRefused                   the server answered with a redirect; nothing was sent to its target

Errors about a server carry `server` (its address without secrets) and `request` with the key redacted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

import openai

if TYPE_CHECKING:
    import httpx2

__all__ = [
    "AnswerMalformed",
    "AnswerTooLarge",
    "DeadlineExceeded",
    "EndpointError",
    "InvalidAnswer",
    "KeyRefused",
    "KeyRejected",
    "ModelNotChosen",
    "NotReady",
    "RedirectRefused",
    "ServerUnreachable",
    "SettingsError",
    "SettingsWarning",
    "Timer",
]

Timer = Literal["connect", "first_token", "between_tokens", "total"]


class SettingsWarning(UserWarning):
    """Warns about a setting that works but is unsafe or has no effect."""


class SettingsError(openai.OpenAIError, ValueError):
    """Raised when a setting cannot be used; the message names its source and the fix."""


class EndpointError(SettingsError):
    """Raised when an address cannot name a server; the message says how to write it."""


class KeyRejected(SettingsError):
    """Raised when a key holds characters that no HTTP header can carry, or cannot be loaded."""


class ModelNotChosen(SettingsError):
    """Raised when `model` was left out and the server does not serve exactly one base model."""

    def __init__(self, message: str, *, server: str, served: tuple[str, ...]) -> None:
        super().__init__(message)
        self.server = server
        self.served = served

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


class _AboutServer:
    """What every error about one server carries, and how it survives pickling.

    openai's exceptions take keyword-only arguments, so that `pickle` cannot call them again.
    """

    server: str
    message: str
    args: tuple[Any, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)

    def advised(self, advice: str) -> Self:
        """Return this error with what to do next added to its message."""
        self.message = f"{self.message} {advice}" if advice else self.message
        self.args = (self.message,)
        return self


def _rebuild(kind: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ServerUnreachable(_AboutServer, openai.APIConnectionError):
    """Raised when no connection came about, or it broke before the answer was complete.

    `phase` is "connect" when nothing was sent, "answer" when the request had left.
    `reason` is the plain cause, such as "connection refused"; `attempts` counts the tries.
    """

    def __init__(
        self,
        message: str,
        *,
        request: httpx2.Request,
        server: str,
        phase: Literal["connect", "answer"],
        reason: str,
        attempts: int = 1,
    ) -> None:
        super().__init__(message=message, request=request)
        self.server = server
        self.phase = phase
        self.reason = reason
        self.attempts = attempts


class AnswerMalformed(ServerUnreachable):
    """Raised when what came is not HTTP, or breaks its rules; another try would get the same."""


class AnswerTooLarge(_AboutServer, openai.APIConnectionError):
    """Raised when an answer passes one of the Limits: `limit` says which, `most` its setting."""

    def __init__(self, message: str, *, request: httpx2.Request, server: str, limit: str, most: int) -> None:
        super().__init__(message=message, request=request)
        self.server = server
        self.limit = limit
        self.most = most


class InvalidAnswer(_AboutServer, openai.APIResponseValidationError):
    """Raised when a server answers with success, and with something that is no answer to the request."""

    def __init__(self, message: str, *, response: httpx2.Response, server: str) -> None:
        super().__init__(response=response, body=None, message=message)
        self.server = server


class KeyRefused(_AboutServer, openai.APIConnectionError):
    """Raised instead of sending a key in the clear over a public network, or to a foreign origin."""

    def __init__(self, message: str, *, request: httpx2.Request, server: str) -> None:
        super().__init__(message=message, request=request)
        self.server = server


class DeadlineExceeded(_AboutServer, openai.APITimeoutError):
    """Raised when a timer of `Timeouts` ran out: `timer` says which, `seconds` its setting."""

    def __init__(
        self, message: str, *, request: httpx2.Request, server: str, timer: Timer, seconds: float
    ) -> None:
        super().__init__(request=request)
        self.message = message
        self.args = (message,)
        self.server = server
        self.timer = timer
        self.seconds = seconds


class NotReady(_AboutServer, openai.APITimeoutError):
    """Raised when a server did not become ready in the time given; `last` is its last answer."""

    def __init__(self, message: str, *, request: httpx2.Request, server: str, last: str) -> None:
        super().__init__(request=request)
        self.message = message
        self.args = (message,)
        self.server = server
        self.last = last


class RedirectRefused(_AboutServer, openai.APIStatusError):
    """Raised when a server answers with a redirect, which is never followed (RFC 9110, 15.4).

    `target` is where it pointed to, without query and user information.
    """

    def __init__(self, message: str, *, response: httpx2.Response, server: str, target: str) -> None:
        super().__init__(message, response=response, body=None)
        self.server = server
        self.target = target
