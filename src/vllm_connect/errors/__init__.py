"""Every exception of vllm-connect; each inherits the openai class that a caller already catches.

openai.OpenAIError
├── SettingsError (ValueError)            a setting is wrong: which, where it was set, what to write instead
│   ├── EndpointError                     an address that names no server
│   ├── KeyRejected                       a key that cannot be sent as it is; never echoed
│   ├── ModelNotChosen                    `model` left out where the server offers none or several
│   └── ParameterRefused                  a parameter that this server would silently ignore; nothing was sent
├── openai.APIResponseValidationError
│   └── InvalidAnswer                     an answer that is not what was asked for
├── openai.APIConnectionError
│   ├── ServerUnreachable                 no connection, or it was lost before an answer began
│   │   └── AnswerMalformed               what came is not HTTP, or breaks its rules; not tried again
│   ├── AnswerIncomplete                  an answer began and did not end right; carries what came
│   ├── AnswerTooLarge                    an answer passed one of the Limits and was not read further
│   ├── KeyRefused                        a key would leave in the clear or for a server it does not belong to
│   └── openai.APITimeoutError
│       ├── DeadlineExceeded              one of the timers ran out; says which
│       └── NotReady                      the server did not become ready in the time given
└── openai.APIStatusError
    └── RedirectRefused                   the server answered with a redirect; nothing was sent to its target

Errors about a server carry `server` (its address without secrets) and `request` with the key redacted. Every error of
a call, those of openai's own classes included, carries `outcome` (see docs/outcomes.md; empty where it is not known),
`attempt` (the facts that it was judged by) and `partial` (what came of an answer). Every error says what happened, to
which server (`explanation`), and what to do (`fix`, empty where nothing is known). All survive `pickle` and `copy`.
"""

from __future__ import annotations

import copyreg
from typing import TYPE_CHECKING, Any, Literal, Self

import openai

from vllm_connect.errors.explanation import Explained, explained_as
from vllm_connect.errors.partial import Partial, PartialChoice, PartialToolCall
from vllm_connect.errors.travel import packed

if TYPE_CHECKING:
    import httpx2

__all__ = [
    "AnswerIncomplete",
    "AnswerMalformed",
    "AnswerTooLarge",
    "DeadlineExceeded",
    "EndpointError",
    "InvalidAnswer",
    "KeyRefused",
    "KeyRejected",
    "ModelNotChosen",
    "NotReady",
    "ParameterRefused",
    "Partial",
    "PartialChoice",
    "PartialToolCall",
    "RedirectRefused",
    "ServerUnreachable",
    "SettingsError",
    "SettingsWarning",
    "Timer",
    "explained_as",
]

Timer = Literal["connect", "first_token", "between_tokens", "total"]


class SettingsWarning(UserWarning):
    """Warns about a setting that works but is unsafe or has no effect."""


class SettingsError(Explained, openai.OpenAIError, ValueError):
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
        return packed(self)


class ParameterRefused(SettingsError):
    """Raised before anything is sent, for parameters whose effect this server would silently drop.

    `parameters` names them, `server` is its address; the message says what to write instead.
    """

    def __init__(self, message: str, *, server: str, parameters: tuple[str, ...]) -> None:
        super().__init__(message)
        self.server = server
        self.parameters = parameters

    def __reduce__(self) -> tuple[Any, ...]:
        return packed(self)


class _AboutServer(Explained):
    """What every error about one server carries."""

    server: str
    message: str
    args: tuple[Any, ...]
    outcome: str = ""
    attempt: Any = None
    partial: Partial | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return packed(self)  # type: ignore[arg-type]  # an exception, in every class that has this

    def explained(self, explanation: str, fix: str, *, rule: str = "") -> Self:
        """Return this error with what happened and what to do, in its fields and as its message."""
        self.message = f"{explanation} {fix}".strip()
        self.args = (self.message,)
        return explained_as(self, explanation, fix, rule=rule)  # type: ignore[type-var]  # an exception, as above


def _packed_as_judged(error: openai.APIError) -> Any:
    """Pack an error of openai's own class that a call of ours raised; any other is pickled as ever."""
    return packed(error) if "outcome" in error.__dict__ else error.__reduce__()


# Their type stays openai's very own, for whoever compares types; so that no `__reduce__` of ours can be in it.
for _kind in (
    openai.APIError,
    openai.APIStatusError,
    openai.BadRequestError,
    openai.AuthenticationError,
    openai.PermissionDeniedError,
    openai.NotFoundError,
    openai.ConflictError,
    openai.UnprocessableEntityError,
    openai.RateLimitError,
    openai.InternalServerError,
):
    copyreg.pickle(_kind, _packed_as_judged)


class ServerUnreachable(_AboutServer, openai.APIConnectionError):
    """Raised when no connection came about, or it was lost before an answer began.

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


class AnswerIncomplete(_AboutServer, openai.APIConnectionError):
    """Raised when an answer began and did not end right: cut, broken off by the server, or never finished.

    `reason` is the plain cause, such as "it ended without its end mark"; `partial` holds what came. `finish_reasons`
    has one item for every choice that was asked for, None for one that did not finish. `body` is the server's error
    where one came within the answer; then there is `status_code`, where it names one. `attempts` counts the tries.
    """

    status_code: int

    def __init__(
        self,
        message: str,
        *,
        request: httpx2.Request,
        server: str,
        reason: str,
        partial: Partial | None = None,
        finish_reasons: tuple[str | None, ...] = (),
        body: object | None = None,
        attempts: int = 1,
    ) -> None:
        # Not by APIConnectionError's own, which knows no body: code, type and param are read from it.
        openai.APIError.__init__(self, message, request, body=body)
        self.server = server
        self.reason = reason
        self.partial = partial
        self.finish_reasons = finish_reasons
        self.attempts = attempts


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
