"""Checks of the way to a server: from the settings to a list of its models.

What fails is told in the words of the client's own error, so that both say the same.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import openai

from vllm_connect.checks import Check, Told, explained, fail, failed, ok, skipped, warn
from vllm_connect.doctor.patient import Patient
from vllm_connect.errors import (
    AnswerIncomplete,
    AnswerMalformed,
    DeadlineExceeded,
    InvalidAnswer,
    KeyRefused,
    KeyRejected,
    RedirectRefused,
    ServerUnreachable,
)
from vllm_connect.explain.case import Case
from vllm_connect.explain.rules import told

__all__ = ["WAY"]

DAY = 86_400.0
# A certificate that ends within these days wants a new one.
SOON = 14
# Errors of a way that is no vLLM's, whatever the request: what answers there is something else.
NOT_THERE = (
    ServerUnreachable,
    DeadlineExceeded,
    AnswerMalformed,
    AnswerIncomplete,
    InvalidAnswer,
    RedirectRefused,
)
UNAUTHORIZED = 401
NO_ROUTE = (403, 404, 405)
LONGEST_BODY = 1 << 20
# Two answers of /health come in moments.
ANSWERING_SECONDS = 5.0


def _error_of(patient: Patient, kinds: tuple[type[Exception], ...]) -> openai.OpenAIError | None:
    error = patient.first_error
    return error if isinstance(error, kinds) else None


def _by_client(patient: Patient, otherwise: str) -> Told:
    """Tell why there is no way by the error that a call meets, which may find one all the same."""
    error = patient.first_error
    return fail(otherwise) if error is None else failed(error)


def settings(patient: Patient) -> Told:
    """Which address and key are used, and where each is from."""
    found = patient.settings
    origins = {"default": "by default", "argument": "by argument"}
    address = found.origins.get("base_url", "default")
    key = "no key" if found.key is None else f"the key of {found.origins.get('api_key', found.key.place)}"
    said = f"{patient.endpoint} ({origins.get(address, f'from {address}')}), {key}"
    withheld = [f"the key of {one.place} is not sent: {one.why}" for one in found.withheld]
    notes = [*found.warnings, *withheld]
    if notes:
        return warn(f"{said}; {'; '.join(notes)}")
    return ok(said)


def proxy(patient: Patient) -> Told:
    """Whether a proxy stands between."""
    found = patient.route.proxy
    if found is None:
        return ok("none between")
    if patient.route.needs_sdk_transport:
        return warn(
            f"{found} (from {found.variable}) is reached over the SDK's transport, without our timers and limits",
            f"Add {patient.endpoint.host} to NO_PROXY if it can be reached directly.",
        )
    return ok(f"through {found} (from {found.variable})")


def name(patient: Patient) -> Told:
    """Whether the host's name is known."""
    if patient.endpoint.socket is not None:
        path = Path(patient.endpoint.socket)
        return ok(f"{path} is there") if path.exists() else _by_client(patient, f"{path} is not there")
    host, _port = patient.route.first_hop
    try:
        addresses = patient.addresses
    except (OSError, UnicodeError):
        return _by_client(patient, f"{host} is not known")
    return ok(f"{host} is {', '.join(addresses)}" if addresses != (host,) else f"{host} is an address")


def connection(patient: Patient) -> Told:
    """Whether something listens there."""
    try:
        seconds = patient.connect()
    except OSError as error:
        return _by_client(patient, f"no connection ({error})")
    return ok(f"connected in {seconds * 1000:.1f} ms", seconds=round(seconds, 6))


def tls(patient: Patient) -> Told:
    """Whether TLS comes about, with a certificate that is trusted and lasts."""
    if patient.endpoint.scheme != "https":
        return (
            ok("not used: plain http") if patient.endpoint.socket is None else ok("not used: a unix socket")
        )
    if patient.route.needs_sdk_transport:
        return skipped("the SDK's transport opens it")
    try:
        with patient.open() as opened:
            assert isinstance(opened, ssl.SSLSocket)
            version, certificate = opened.version(), opened.getpeercert()
    except (OSError, ssl.SSLError) as error:
        return _by_client(patient, f"TLS failed ({error})")
    if not certificate:
        return warn(f"{version}, and the certificate is not checked", "Take tls.verify=false away.")
    ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    days = int((ends - time.time()) // DAY)
    said = f"{version}, trusted, for {days} days more"
    return ok(said, days=days) if days >= SOON else warn(said, "Have the certificate renewed.", days=days)


def http_(patient: Patient) -> Told:
    """Whether what answers there speaks HTTP, and is no page of somebody else's."""
    error = _error_of(patient, NOT_THERE)
    if error is not None:
        return failed(error)
    error = patient.first_error
    if isinstance(error, KeyRefused | KeyRejected):
        return ok("not asked: no request leaves without its key")
    if isinstance(error, openai.APIStatusError) and error.status_code not in (UNAUTHORIZED, *NO_ROUTE):
        return failed(error)
    return ok("answers")


def base_path(patient: Patient) -> Told:
    """Whether the API is at the path of the address."""
    error = patient.first_error
    if not (isinstance(error, openai.APIStatusError) and error.status_code in NO_ROUTE):
        return ok(patient.endpoint.path or "/")
    case = patient.case_of(error)
    found = next((other for other in _other_addresses(case) if _has_models(patient, other)), None)
    return explained(told(replace(case, api_at=found)), base_url=found)


def _other_addresses(case: Case) -> Iterator[str]:
    """Yield where else the API may be: where a call would be told that it is, with or without /v1, at the root."""
    path = case.base_path
    paths = (f"{path}/v1", path.removesuffix("/v1") or "/v1", "/v1")
    at_paths = (str(replace(case.endpoint, path=other)) for other in paths)
    for address in dict.fromkeys((case.better_address, *at_paths)):
        if address != case.server:
            yield address


def _has_models(patient: Patient, base_url: str) -> bool:
    try:
        return bool(patient.client.with_options(base_url=base_url).models.list().data)
    except openai.OpenAIError:
        return False


def key(patient: Patient) -> Told:
    """Whether the key is what the server wants."""
    error = _error_of(
        patient, (openai.AuthenticationError, openai.PermissionDeniedError, KeyRefused, KeyRejected)
    )
    if error is not None:
        return failed(error)
    if patient.first_error is not None:
        return failed(patient.first_error)
    sent, needs = patient.settings.key is not None, patient.facts.needs_key
    if sent:
        return ok("accepted" if needs else "sent, and not needed" if needs is False else "sent")
    return ok("not needed")


def keep_alive(patient: Patient) -> Told:
    """Whether a connection is kept for the next call."""
    if patient.route.needs_sdk_transport:
        return skipped("the SDK's transport keeps connections")
    began = patient.clock()
    with patient.open() as opened, _at_most(ANSWERING_SECONDS, opened):
        asking = http.client.HTTPConnection(patient.endpoint.host or "localhost")
        asking.sock = opened
        target = patient.route.request_target(f"{urlsplit(patient.endpoint.root_url).path}/health")
        try:
            for _ in range(2):
                asking.request("GET", target)
                answer = asking.getresponse()
                answer.read(LONGEST_BODY)
                if answer.will_close:
                    break
            else:
                return ok("a connection carries one call after another")
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, TimeoutError) or patient.clock() - began >= ANSWERING_SECONDS:
                return skipped("/health gave no whole answer in time")
    return warn(
        "a connection is closed after each answer, so that every call pays for a new one",
        "Let the gateway before the server keep connections (HTTP/1.1 keep-alive).",
    )


@contextlib.contextmanager
def _at_most(seconds: float, opened: socket.socket) -> Iterator[None]:
    """End a connection after these seconds: its own timer begins anew with each byte that a server lets drip."""

    def end() -> None:
        with contextlib.suppress(OSError):
            opened.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


WAY: Sequence[Check[Patient]] = (
    Check("settings", settings),
    Check("proxy", proxy, ("settings",)),
    Check("name", name, ("proxy",)),
    Check("connection", connection, ("name",)),
    Check("TLS", tls, ("connection",)),
    Check("HTTP", http_, ("TLS",)),
    Check("base path", base_path, ("HTTP",)),
    Check("key", key, ("base path",)),
    Check("keep-alive", keep_alive, ("HTTP",)),
)
