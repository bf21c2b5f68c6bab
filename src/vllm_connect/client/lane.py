"""The fast lane: `create()` of the four endpoints from arguments to bytes, without the SDK's own machinery.

The SDK makes the first request of each kind; its head is kept as a template. Bodies are written as the SDK writes
them. Whatever is not plain (a subclass with hooks of its own, arguments that only the SDK understands) takes the
SDK's own path, which is always there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import openai
from openai import _base_client as sdk  # private, the same in 2.25 and 3.x
from openai._models import FinalRequestOptions
from openai._utils import maybe_transform
from openai._utils._json import openapi_dumps

from vllm_connect.client import replies
from vllm_connect.client.assembly import Route
from vllm_connect.client.forms import COMPLETIONS, Form, Source, form_of
from vllm_connect.client.resumption import TOKEN_IDS, Continuation, can_be_resumed
from vllm_connect.client.subject import subject_of
from vllm_connect.dispatch import KEY_GOES_HERE, NO_SUBJECT, Call, Member, Subject
from vllm_connect.errors import ModelNotChosen
from vllm_connect.facts import only_base_model
from vllm_connect.outcome.completeness import asked_items
from vllm_connect.settings import Timeouts, Timers, timers
from vllm_connect.wire.exchange import Wanted
from vllm_connect.wire.request import Head
from vllm_connect.wire.route import Route as WireRoute

__all__ = ["Lane", "Prepared", "Resumable", "takes_the_lane"]

NO_OPTIONS: Mapping[str, Any] = {}
LIST_OPTIONS = frozenset({"extra_headers", "extra_query", "extra_body", "timeout"})
OPTIONS = LIST_OPTIONS | {"timeouts"}
ABSENT = (openai.Omit, openai.NotGiven)
RAW_HEADER = "x-stainless-raw-response"
RAW = {"X-Stainless-Raw-Response": "true"}
# How a call travels, and how its answer is then wanted of the wire.
_Travel = Literal["plain", "stream", "carried"]
WANTED: Mapping[_Travel, Wanted] = {"plain": "whole", "stream": "events", "carried": "all events"}
KEY_MARK = KEY_GOES_HERE.encode()
# Heads kept per client: a caller with another timeout for every call must not fill the memory.
MOST_HEADS = 64
# What a subclass of a client may override to change requests or answers: the lane would go past it.
HOOKS = (
    "request",
    "post",
    "auth_headers",
    "default_headers",
    "default_query",
    "qs",
    "_build_request",
    "_build_headers",
    "_prepare_options",
    "_prepare_request",
    "_process_response",
    "_make_sse_decoder",
)


class _NotPlainError(TypeError):
    """Raised for a value that JSON does not have."""


def _refuse(_value: object) -> None:
    raise _NotPlainError


def _encoder() -> Callable[[Any], str]:
    """Return a function that encodes as the SDK does, but for objects of its own, which are left to it."""
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        plain = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_refuse)
        return plain.encode
    # What JSONEncoder makes anew for each text, which takes as long as a small text itself.
    pieces = make(None, _refuse, json.encoder.encode_basestring, None, ":", ",", False, False, False)
    return lambda value: "".join(pieces(value, 0))


_encode = _encoder()


def takes_the_lane(kind: type, ours: type) -> bool:
    """Whether clients of this class are `ours`, without hooks of their own."""
    return all(getattr(kind, hook, None) is getattr(ours, hook, None) for hook in HOOKS)


@dataclass(slots=True, frozen=True)
class _Standing:
    """What calls of one form without options of their own have in common."""

    head: Head
    url: str
    timers: Timers


@dataclass(slots=True, frozen=True)
class Resumable:
    """What the rest of a stream is asked for with: its route, its request, the options of the call."""

    route: Route
    asked: Mapping[str, Any]
    options: Mapping[str, Any]


@dataclass(slots=True)
class Prepared:
    """A call ready to leave; `answer` is the form in which its answer, or each event of it, is read.

    `carried` names the route of a plain call that travels as a stream, `asked` how many choices or vectors it is for.
    `resumable` is there for a stream that is gone on with where it is cut.
    """

    lane: Lane
    call: Call
    head: Head
    url: str
    body: bytes
    wanted: Wanted
    answer: replies.Form[Any]
    is_raw: bool
    chose_model: bool
    carried: Route | None = None
    asked: int = 1
    model: object = None
    resumable: Resumable | None = None

    def way(self) -> Head:
        """Return the head at the replica of this attempt."""
        call = self.call
        return self.head if call.member is call.home else self.lane.moved(call.member, self)[0]

    def url_there(self) -> str:
        """Return the URL at the replica of this attempt."""
        call = self.call
        return self.url if call.member is call.home else self.lane.moved(call.member, self)[1]


class Lane:
    """What the calls of one client have in common, kept while its settings stay as they are."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._heads: dict[tuple[str, bool, str], tuple[Head, str]] = {}
        self._standing: dict[tuple[Source, _Travel], _Standing] = {}
        self._marks: tuple[Any, ...] = (None,) * 9
        self._wire: Any = None

    def wire(self) -> Any:
        """Return the wire to the client's server, None where only the SDK's transport goes that way."""
        self._stay_current()
        return self._wire

    def wire_at(self, call: Call) -> Any:
        """Return the wire to the replica of this attempt: the client may have another address by now."""
        client = self._client
        return self._wire if call.member is client._home else client._client.wires.to(call.member.endpoint)

    def moved(self, member: Member, prepared: Prepared) -> tuple[Head, str]:
        """Return the head of a request, and its URL, as they are at another replica; kept with the head."""
        head = prepared.head
        found = head.moved.get(member.name)
        if found is None:
            found = head.moved[member.name] = self._moved(prepared.call.home, member, head, prepared.url)
        return found

    def _moved(self, home: Member, member: Member, head: Head, url: str) -> tuple[Head, str]:
        client = self._client
        http = client._client.http
        path = home.endpoint.path_at(member.endpoint, http.URL(url).raw_path.decode("ascii"))
        there = http.URL(member.endpoint.base_url).copy_with(raw_path=path.encode())
        headers = [(name, there.netloc if name.lower() == b"host" else value) for name, value in head.headers]
        route = client._client.wires.to(member.endpoint).route
        target = route.request_target(path).encode("ascii")
        return Head(head.method, target, headers, key_mark=KEY_MARK, hidden=_hidden(route)), str(there)

    def asyncio_wire(self) -> Any:
        """Return the same, None on another event loop than asyncio's: our wire is made for that one."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return None
        return self.wire()

    def prepared(self, source: Source, parameters: dict[str, Any]) -> Prepared | None:
        """Return a call ready to leave, None where the SDK's own path must take it."""
        form = form_of(source)
        if form is None:
            return None
        prepare = self._prepared_list if form.method == "get" else self._prepared_body
        return prepare(source, form, parameters)

    def _prepared_body(self, source: Source, form: Form, parameters: dict[str, Any]) -> Prepared | None:
        options = NO_OPTIONS
        if not OPTIONS.isdisjoint(parameters):
            options = {name: parameters[name] for name in OPTIONS & parameters.keys()}
            parameters = {name: value for name, value in parameters.items() if name not in OPTIONS}
            if not _are_plain(options):
                return None
        answer = source.answer
        if source.own_encoding is not None and type(parameters.get("encoding_format", openai.omit)) in ABSENT:
            parameters = {**parameters, "encoding_format": "base64"}
            answer = source.own_encoding
        body = _body(source, form, parameters)
        if body is None:
            return None
        stream = body.get("stream")
        extra = options.get("extra_body")
        chose_model = self._choose_model(body, extra)
        resumable = self._resumable(source, body, extra, options) if stream is True else None
        if resumable is not None:
            extra = {**TOKEN_IDS, **(extra or {})}
        encoded = None if chose_model is None else _encoded(body, extra, source)
        if encoded is None:
            return None
        travel: _Travel = "stream" if stream is True else "plain"
        is_raw = options is not NO_OPTIONS and options.get("extra_headers") == RAW
        if stream is True and source.chunk is not None:
            answer = source.chunk
        elif source.route is not None and not is_raw:
            carried = self._carried(source, body, extra)
            if carried is not None:
                travel, encoded = "carried", carried
        client = self._client
        standing = self._of(source, form, options, travel)
        return Prepared(
            self,
            Call(
                standing.timers,
                client.max_retries,
                stream is True,
                client._replicas,
                client._home,
                client._clock(),
                self._subject(body, extra, options),
            ),
            standing.head,
            standing.url,
            encoded,
            WANTED[travel],
            answer,
            is_raw,
            chose_model is True,
            source.route if travel == "carried" else None,
            asked_items({**body, **extra} if extra else body),
            body.get("model") if extra is None else extra.get("model", body.get("model")),
            resumable,
        )

    def continued(self, resumable: Resumable, continuation: Continuation) -> Prepared | None:
        """Return the request for the rest of a stream, None where the lane does not take it."""
        body = dict(continuation.body)
        named = {name: body.pop(name) for name in ("model", "prompt", "stream")}
        prepared = self.prepared(COMPLETIONS, {**named, **resumable.options, "extra_body": body})
        if prepared is not None:
            prepared.resumable = resumable
        return prepared

    def _resumable(
        self,
        source: Source,
        body: Mapping[str, Any],
        extra: Mapping[str, Any] | None,
        options: Mapping[str, Any],
    ) -> Resumable | None:
        """Return what goes on with a stream of this request, None where it is none or nothing can."""
        if not self._client._settings.resume or source.route is None:
            return None
        asked = _merged(body, extra or {})
        if asked.get("return_token_ids", True) is not True or not can_be_resumed(source.route, asked):
            return None
        model = asked.get("model")
        # The rest is asked for by the name that was sent, which must not stand for another in its turn.
        if model is None or self._client._settings.model_aliases.get(model, model) != model:
            return None
        kept = {name: options[name] for name in OPTIONS & options.keys() if name != "extra_body"}
        if kept.get("extra_headers") == RAW:
            del kept["extra_headers"]
        return Resumable(source.route, asked, kept)

    def _subject(
        self, body: dict[str, Any], extra: Mapping[str, Any] | None, options: Mapping[str, Any]
    ) -> Subject:
        client = self._client
        if client._replicas.only is not None:
            return NO_SUBJECT
        headers = {**client._custom_headers, **(options.get("extra_headers") or {})}
        return subject_of({**body, **(extra or {})}, headers)

    def _carried(self, source: Source, body: dict[str, Any], extra: Mapping[str, Any] | None) -> bytes | None:
        """Return the body of the stream that a plain call travels as, None where it stays plain."""
        client = self._client
        assert source.route is not None
        asked = _merged(body, extra) if extra else body
        streamed = client._catalogue.carriage.carried(client._settings.long_calls, source.route, asked)
        return None if streamed is None else _encoded(streamed, None, source)

    def _prepared_list(self, source: Source, form: Form, options: dict[str, Any]) -> Prepared | None:
        """Return a call for the list of models, None where the SDK's own path must take it."""
        if not LIST_OPTIONS.issuperset(options) or options.get("extra_body") is not None:
            return None
        if options.get("extra_headers") == RAW or not _are_plain(options):
            return None
        client = self._client
        standing = self._of(source, form, options or NO_OPTIONS, "plain")
        call = Call(
            standing.timers, client.max_retries, False, client._replicas, client._home, client._clock()
        )
        return Prepared(self, call, standing.head, standing.url, b"", "whole", source.answer, False, False)

    def _choose_model(self, body: dict[str, Any], extra: Mapping[str, Any] | None) -> bool | None:
        """Put the served model in the body; return whether it was chosen here, None where it must be asked for."""
        settings = self._client._settings
        model = body.get("model")
        if isinstance(model, str):
            real = settings.model_aliases.get(model)
            if real is not None:
                body["model"] = real
            return False
        if "model" in body or (extra is not None and "model" in extra):
            return False
        if settings.model is not None:
            body["model"] = settings.model_aliases.get(settings.model, settings.model)
            return False
        models = self._client._catalogue.models
        if models is None:
            return None
        try:
            body["model"] = only_base_model(models, settings.endpoint.origin)
        except ModelNotChosen:
            return None
        return True

    # -- what is kept

    def _stay_current(self) -> None:
        """Forget what was kept where the client was changed since."""
        client = self._client
        timeout, settings, base_url, organization, project, sender, members, headers, query = self._marks
        if (
            client.timeout is timeout
            and client._settings is settings
            and client._base_url is base_url
            and client.organization is organization
            and client.project is project
            and client._client is sender
            and client._replicas.members is members
            and client._custom_headers == headers
            and client._custom_query == query
        ):
            return
        self._marks = (
            client.timeout,
            client._settings,
            client._base_url,
            client.organization,
            client.project,
            client._client,
            client._replicas.members,
            dict(client._custom_headers),
            dict(client._custom_query),
        )
        wires = client._client.wires
        ours = all(wires.to(member.endpoint) is not None for member in client._replicas.members)
        self._wire = wires.to(client._settings.endpoint) if ours else None
        self._heads.clear()
        self._standing.clear()

    def _of(self, source: Source, form: Form, options: Mapping[str, Any], travel: _Travel) -> _Standing:
        """Return head and timers of a call: those of all such calls, unless it has options of its own."""
        if options is not NO_OPTIONS:
            return self._standing_with(form, options, travel)
        standing = self._standing.get((source, travel))
        if standing is None:
            standing = self._standing[source, travel] = self._standing_with(form, options, travel)
        return standing

    def _standing_with(self, form: Form, options: Mapping[str, Any], travel: _Travel) -> _Standing:
        setting = options.get("timeouts")
        if setting is None:
            setting = self._client._timeout_setting(options.get("timeout", openai.NOT_GIVEN))
        # Named timers see into a plain call that is carried; a number stays what it is: the time of the whole.
        is_watched = travel == "stream" or (travel == "carried" and isinstance(setting, Timeouts))
        return _Standing(*self._head(form, options), timers(setting, streamed=is_watched))

    def _head(self, form: Form, options: Mapping[str, Any]) -> tuple[Head, str]:
        """Return the head of a request and its URL; the SDK makes the first of each kind."""
        headers = options.get("extra_headers")
        timeout = options.get("timeout", "")
        is_raw = headers == RAW
        if (
            options.get("extra_query")
            or (headers and not is_raw)
            or not isinstance(timeout, str | float | int)
        ):
            return self._built_head(form, options)
        key = (form.path, is_raw, str(timeout))
        kept = self._heads.get(key)
        if kept is None:
            if len(self._heads) >= MOST_HEADS:
                self._heads.clear()
            kept = self._heads[key] = self._built_head(form, options)
        return kept

    def _built_head(self, form: Form, options: Mapping[str, Any]) -> tuple[Head, str]:
        """Have the SDK make a request, and keep all of it but its body."""
        client = self._client
        made = sdk.make_request_options(
            extra_headers=options.get("extra_headers"),
            extra_query=options.get("extra_query"),
            timeout=options.get("timeout", openai.NOT_GIVEN),
        )
        json_data: dict[str, Any] | None = {} if form.method == "post" else None
        all_options: Any = {**form.options, **made}
        request = client._build_request(
            FinalRequestOptions.construct(
                method=form.method, url=form.path, json_data=json_data, **all_options
            )
        )
        route = self._wire.route
        target = route.request_target(request.url.raw_path.decode("ascii")).encode("ascii")
        head = Head(request.method, target, request.headers.raw, key_mark=KEY_MARK, hidden=_hidden(route))
        return head, str(request.url)


def _hidden(route: WireRoute) -> list[tuple[bytes, bytes]]:
    """Return the headers that leave and are not shown."""
    credentials = route.proxy_authorization
    return [] if credentials is None else [(b"Proxy-Authorization", credentials.encode())]


def _body(source: Source, form: Form, parameters: dict[str, Any]) -> dict[str, Any] | None:
    """Return the parameters in the order of the SDK's body, None where the SDK says best what is wrong with them."""
    try:
        names = sorted(parameters, key=form.order.__getitem__)
    except KeyError:
        return None
    body = {name: value for name in names if type(value := parameters[name]) not in ABSENT}
    stream = body.get("stream")
    if source.needed not in body or not (stream is None or stream is True or stream is False):
        return None
    return body


def _are_plain(options: dict[str, Any]) -> bool:
    """Whether the lane takes these options: `with_streaming_response` is the SDK's own, and so are its errors."""
    extra, headers = options.get("extra_body"), options.get("extra_headers")
    if extra is not None and not isinstance(extra, Mapping):
        return False
    if options.get("timeouts") is not None and not isinstance(options.get("timeout", openai.omit), ABSENT):
        return False
    return not headers or headers == RAW or not any(name.lower() == RAW_HEADER for name in headers)


def _encoded(body: dict[str, Any], extra: Mapping[str, Any] | None, source: Source) -> bytes | None:
    """Return a body as the SDK writes it, None where it refuses to."""
    try:
        if extra:
            return _encode(_merged(body, extra)).encode()
        return _encode(body).encode()
    except _NotPlainError:
        pass
    except (ValueError, TypeError, RecursionError):
        return None
    try:
        plain: Any = maybe_transform(body, source.params_type)
        return openapi_dumps(_merged(plain, extra) if extra else plain)
    except (ValueError, TypeError, RecursionError):
        return None


def _merged(body: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return both, the extra one first in rank; `omit` takes a parameter away, as with the SDK."""
    both = {**body, **extra}
    return {name: value for name, value in both.items() if not isinstance(value, openai.Omit)}
