"""How a client explains an error: what it knows of the case, put before the rules of `explain`; no I/O."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

import openai

from vllm_connect.client.spread import Spread
from vllm_connect.dispatch import KEY_GOES_HERE
from vllm_connect.errors import (
    AnswerIncomplete,
    AnswerMalformed,
    AnswerTooLarge,
    DeadlineExceeded,
    InvalidAnswer,
    KeyRefused,
    NotReady,
    RedirectRefused,
    ServerUnreachable,
    SettingsError,
    explained_as,
)
from vllm_connect.wire.proxy import Proxy, proxy_for, with_system_proxies

if TYPE_CHECKING:
    import httpx2

    from vllm_connect.endpoint import Endpoint
    from vllm_connect.explain.case import Case, Kind
    from vllm_connect.explain.rule import Told

__all__ = ["Explaining", "message_of_status"]

# The kind of case of each of our errors; a subclass stands before its own class.
_KINDS: tuple[tuple[type[openai.OpenAIError], Kind], ...] = (
    (AnswerMalformed, "malformed"),
    (ServerUnreachable, "unreachable"),
    (AnswerIncomplete, "cut"),
    (AnswerTooLarge, "too large"),
    (DeadlineExceeded, "timer"),
    (NotReady, "not ready"),
    (KeyRefused, "key"),
    (RedirectRefused, "redirect"),
    (InvalidAnswer, "shape"),
)


class Explaining(Spread):
    """The part of a client that says of an error what happened and what to do."""

    def _explained(self, error: BaseException) -> BaseException:
        """Return an error with what happened and what to do, in its fields and its message; once."""
        if not isinstance(error, openai.OpenAIError) or isinstance(error, SettingsError):
            return error
        if getattr(error, "rule", None):
            return error
        kind = next((kind for of, kind in _KINDS if isinstance(error, of)), None)
        if kind is not None:
            explanation, fix, rule = self._told_of(kind, error)
            explained: BaseException = error.explained(explanation, fix, rule=rule)  # type: ignore[attr-defined]  # of ours
            return explained
        within = type(error) is openai.APIError
        tells = self._told_of("within" if within else "other", error)
        if within:
            error.message = _message(error.message, error.message, tells)  # type: ignore[attr-defined]
            error.args = (error.message,)  # type: ignore[attr-defined]
        return explained_as(error, tells.explanation, tells.fix, rule=tells.rule)

    def _told_of_status(self, response: httpx2.Response, body: object) -> tuple[Case, Told]:
        """Return what is known and what is to be told of an answer that is an error by its status."""
        from vllm_connect.explain.rules import told  # noqa: PLC0415 - with the first error

        sent = response.request.headers.get("authorization")
        case = self._case(
            "status",
            self._server_of(response.request),
            status=response.status_code,
            path=response.request.url.path,
            request=_content(response.request),
            body=body,
            content_type=response.headers.get("content-type", ""),
            own_key=sent not in (None, KEY_GOES_HERE),
        )
        return case, told(case)

    def _told_of(self, kind: Kind, error: openai.OpenAIError) -> Told:
        """Return what is to be told of an error of this kind."""
        from vllm_connect.explain.rules import told  # noqa: PLC0415 - with the first error

        return told(self._case_of(kind, error))

    def _case_of(self, kind: Kind, error: Any) -> Case:
        request, response = getattr(error, "request", None), getattr(error, "response", None)
        server = getattr(error, "server", "") or ("" if request is None else self._server_of(request))
        partial = getattr(error, "partial", None)
        return self._case(
            kind,
            server,
            happened=(getattr(error, "message", "") or str(error)).rstrip("."),
            reason=getattr(error, "reason", ""),
            timer=getattr(error, "timer", ""),
            limit=getattr(error, "limit", ""),
            target=getattr(error, "target", ""),
            status=getattr(error, "status_code", None),
            body=getattr(error, "body", None),
            content_type="" if response is None else response.headers.get("content-type", ""),
            path="" if request is None else request.url.path,
            request=b"" if request is None else _content(request),
            came=None if partial is None else partial.characters,
        )

    def _case(self, kind: Kind, server: str, **known: Any) -> Case:
        from vllm_connect.explain.case import Case  # noqa: PLC0415 - as above

        settings = self._settings_at(server)
        served, facts = self._replicas.survey.served.get(server), self._catalogue.dialect
        return Case(
            kind=kind,
            settings=settings,
            models=self._catalogue.models if served is None else served,
            serves=None if facts is None else facts.serves,
            proxy=self._proxy_to(settings.endpoint),
            **known,
        )

    def _proxy_to(self, endpoint: Endpoint) -> Proxy | None:
        """Return the proxy between, None where there is none, or a caller's own http client knows it."""
        if self._client.is_borrowed:
            return None
        wires = self._client.wires
        environment = os.environ if wires is None else wires.environment
        with contextlib.suppress(SettingsError):
            return proxy_for(endpoint, with_system_proxies(environment, getproxies))
        return None


def message_of_status(err_msg: str, case: Case, tells: Told) -> str:
    """Return the message of a status error: the SDK's, in which the server's words are, and what is told of it."""
    message = err_msg if case.said in err_msg else f"{err_msg} - {case.said}"
    return _message(message, case.said, tells)


def _message(message: str, said: str, tells: Told) -> str:
    """Return a message with what is told behind it, but for an explanation that only repeats the server's words."""
    ends = said.rstrip(".")
    behind = (
        tells.fix
        if ends and tells.explanation.rstrip(".").endswith(ends)
        else f"{tells.explanation} {tells.fix}".strip()
    )
    return f"{message.rstrip('.')}. {behind}" if behind else message


def _content(request: Any) -> bytes:
    """Return the body of a request, nothing of one that is a stream."""
    try:
        content: bytes = request.content
    except RuntimeError:
        return b""
    return content
