"""What makes an SDK client ours, the same for the blocking and the async one; no I/O.

The SDK's hooks that are overridden here exist in openai 2.25 and 3.x alike; `tests/test_package.py` watches
that they stay.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import openai

from vllm_connect.client.arguments import is_account_of_openai, key_source
from vllm_connect.client.catalogue import Catalogue
from vllm_connect.client.explaining import Explaining, message_of_status
from vllm_connect.client.nesting import TOO_DEEP, is_too_deep
from vllm_connect.client.reasoning import name_all_reasoning
from vllm_connect.client.subject import subject_of
from vllm_connect.discovery import Ask, Reply, discover_facts
from vllm_connect.dispatch import (
    CALL,
    KEY_GOES_HERE,
    NO_SUBJECT,
    Call,
    Credentials,
    Member,
    ReplicaSet,
    Subject,
    current_call,
)
from vllm_connect.dispatch.retry import LONGEST_RETRY_AFTER, retry_after, should_retry
from vllm_connect.endpoint import Endpoint, Hidden, parse_endpoint
from vllm_connect.endpoint.key import MASK
from vllm_connect.errors import InvalidAnswer, KeyRefused, NotReady, SettingsError, explained_as
from vllm_connect.explain import shape_text
from vllm_connect.facts import ServerFacts, is_engine_dead, is_model_missing
from vllm_connect.facts.names import printable
from vllm_connect.outcome import Attempt, judged
from vllm_connect.settings import (
    CallableKey,
    Settings,
    Timeouts,
    WithheldKey,
    parse_endpoints,
    timers,
)

if TYPE_CHECKING:
    import httpx2

    from vllm_connect.client.server.question import Question

__all__ = ["Connected", "Inherited", "request_for", "with_model"]

T = TypeVar("T")

# Routes whose body names a model, which we fill in where it was left out.
MODEL_ROUTES = frozenset({"/chat/completions", "/completions", "/embeddings", "/responses"})
# The SDK's classes of plain answers that are judged.
JUDGED = frozenset({"ChatCompletion", "Completion", "CreateEmbeddingResponse"})
# A server that is up answers these questions in milliseconds, a busy one in seconds.
# The characters of the SDK's message for a status, which has the body whole: over its transport nothing bounds that.
LONGEST_STATUS_MESSAGE = 64 * 1024
QUESTION_SECONDS = 10.0
# While the SDK builds headers, `api_key` shows the mask: the key is not loaded there, nor ever in its hands.
building_headers: ContextVar[bool] = ContextVar("vllm_connect_building_headers", default=False)


class _SdkKey(str):
    """What the SDK believes the key to be: it never holds the real one."""

    __slots__ = ()


SDK_KEY = _SdkKey("EMPTY")


@dataclass(frozen=True)
class Inherited:
    """What a copy takes from the client it is made from, with the copy's own settings already in place."""

    settings: Settings
    credentials: Credentials
    replicas: ReplicaSet
    catalogue: Catalogue


class Connected(Explaining):
    """The part of a client that knows its server: settings, key, timers, model names, explanations."""

    admin_api_key: str | None
    _custom_query: Mapping[str, object]
    _make_sender: Callable[..., Any]
    _credentials: Credentials
    _home: Member

    # -- construction

    def _connect(self, arguments: dict[str, Any], inherited: Inherited | None) -> None:
        """Take settings, key and catalogue, before the SDK's own constructor runs."""
        self._clock = time.monotonic
        if inherited is not None:
            self._take(inherited)
            return
        given = arguments["api_key"]
        arguments["api_key"] = key_source(given)
        self._settings = Settings.load(arguments)
        if isinstance(given.value, str) and arguments["api_key"] is None:
            # An empty text is a choice: no key, whatever the environment holds.
            self._settings = replace(self._settings, key=None, withheld=())
        self._take(self._new(self._settings))

    @staticmethod
    def _new(settings: Settings) -> Inherited:
        """Return what a client with these settings has of its own."""
        credentials = Credentials(settings.key, settings.endpoint, settings.allow_insecure_key)
        return Inherited(settings, credentials, ReplicaSet(credentials, settings.endpoints), Catalogue())

    def _take(self, inherited: Inherited) -> None:
        self._settings = inherited.settings
        self._credentials = inherited.credentials
        self._replicas = inherited.replicas
        self._home = inherited.replicas.at(inherited.settings.endpoint)
        self._catalogue = inherited.catalogue

    def _keep_platform_variables_out(
        self, organization: str | None, project: str | None, default_headers: Mapping[str, str] | None
    ) -> None:
        """Undo what the SDK read from OPENAI_* variables: none of it is for a vLLM host."""
        if self._settings.endpoint.is_openai:
            return
        self.organization = organization
        self.project = project
        self.admin_api_key = None
        self._custom_headers: Mapping[str, str] = default_headers or {}

    def _inherited(
        self,
        *,
        api_key: Hidden,
        base_url: Any,
        keep_timeouts: bool,
        changes: dict[str, Any],
    ) -> Inherited:
        """Return what a copy with these changes inherits; None stands for unchanged."""
        settings = self._settings if keep_timeouts else replace(self._settings, timeouts=Timeouts())
        settings = replace(settings, **{name: value for name, value in changes.items() if value is not None})
        endpoints = settings.endpoints if base_url is None else self._endpoints_of(base_url)
        endpoint, *further = endpoints
        catalogue = self._catalogue if endpoints == settings.endpoints else Catalogue()
        if api_key.value is None and endpoints == settings.endpoints:
            return Inherited(settings, self._credentials, self._replicas, catalogue)
        source = self._credentials.source if api_key.value is None else key_source(api_key)
        withheld = settings.withheld
        if api_key.value is None and is_account_of_openai(source) and not endpoint.is_openai:
            # As for a new client: this key is for OpenAI, and the new address is not OpenAI's.
            withheld = (*withheld, WithheldKey("OPENAI_API_KEY", "it is a key of the OpenAI platform"))
            source = source if settings.use_openai_api_key else None
        origins = {
            **settings.origins,
            **({"api_key": "argument `api_key`"} if api_key.value is not None else {}),
            **({"base_url": "argument"} if endpoints != settings.endpoints else {}),
        }
        settings = replace(
            settings,
            endpoint=endpoint,
            further=tuple(further),
            key=source,
            origins=origins,
            withheld=withheld,
        )
        return replace(self._new(settings), catalogue=catalogue)

    def _needs_own_connections(self, copy: Inherited) -> bool:
        """Whether a copy cannot share this client's connections, which the caller did not bring.

        They differ in what a connection is made with: a unix socket, a proxy, the check of where a key may go.
        """

        def ways(settings: Settings) -> set[tuple[str | None, bool]]:
            return {(endpoint.socket, endpoint.is_loopback) for endpoint in settings.endpoints}

        ours, theirs = self._credentials, copy.credentials
        fits = self._client.wires is not None or ways(copy.settings) <= ways(self._settings)
        fits = fits and theirs.must_not_travel_in_clear == ours.must_not_travel_in_clear
        return not fits and not self._client.is_borrowed

    def _endpoints_of(self, base_url: Any) -> tuple[Endpoint, ...]:
        """Return the servers that a value names. The SDK's own `copy` hands on the URL of the first one."""
        if (
            not isinstance(base_url, list | tuple)
            and str(base_url).rstrip("/") == self._settings.endpoint.base_url
        ):
            return self._settings.endpoints
        return parse_endpoints(base_url, "argument")

    # -- what callers read and set

    @property
    def timeouts(self) -> Timeouts:
        """The timers of this client's calls, in force unless `timeout` was given."""
        return self._settings.timeouts

    @property
    def settings(self) -> Settings:
        """Everything this client is set up with, and where each value came from."""
        return self._settings

    @property
    def api_key(self) -> str:
        """The key itself, as the SDK offers it; "EMPTY" where there is none or a function gives it."""
        if building_headers.get():
            return MASK
        # While the SDK's constructor runs it only asks whether there is one, which must not run a command.
        if "_client" not in self.__dict__ or isinstance(self._credentials.source, CallableKey):
            return str(SDK_KEY)
        key = self._credentials.key()
        return str(SDK_KEY) if key is None else key.reveal()

    @api_key.setter
    def api_key(self, value: str) -> None:
        given = Hidden(value)
        del value
        if given.value is not SDK_KEY:
            self._adopt(self._inherited(api_key=given, base_url=None, keep_timeouts=True, changes={}))

    @property
    def auth_headers(self) -> dict[str, str]:
        """The Authorization of a websocket (`client.realtime`); raises KeyRefused for another origin."""
        if not building_headers.get():
            self._refuse_foreign_websocket()
        headers: dict[str, str] = super().auth_headers  # type: ignore[misc]  # the SDK's
        return headers

    def _refuse_foreign_websocket(self) -> None:
        """Refuse to show the key to a websocket's own address, unless it is of the key's origin."""
        given = self.websocket_base_url  # type: ignore[attr-defined]  # the SDK's
        if given is None or self._credentials.source is None:
            return
        endpoint = self._credentials.endpoint
        url = str(given).replace("ws", "http", 1)
        if not (url.startswith("http") and parse_endpoint(url).origin == endpoint.origin):
            explanation = (
                f"The API key belongs to {endpoint.origin} and is not sent to the websocket_base_url {given}."
            )
            request = self._client.build_request("GET", endpoint.base_url)
            raise self._explained(KeyRefused(explanation, request=request, server=endpoint.origin))

    @property
    def base_url(self) -> Any:
        """The address as an httpx URL, of several replicas the first; assign another one, or a list.

        A list in the place of a list changes the replicas while calls are under way: those go on to their end.
        """
        return super().base_url  # type: ignore[misc]  # the SDK's

    @base_url.setter
    def base_url(self, url: Any) -> None:
        inherited = self._inherited(api_key=Hidden(None), base_url=url, keep_timeouts=True, changes={})
        endpoint = inherited.settings.endpoint
        has_same_key = inherited.credentials.source is self._credentials.source
        if self._settings.has_replicas and inherited.settings.has_replicas and has_same_key:
            # Replicas that stay keep what is known of them, for this client and its copies.
            self._replicas.change(inherited.settings.endpoints, self._clock())
            inherited = replace(inherited, replicas=self._replicas)
        elif endpoint.socket != self._settings.endpoint.socket:
            raise SettingsError("base_url cannot change to or from a unix socket; make another client.")
        left_openai = self._settings.endpoint.is_openai and not endpoint.is_openai
        self._adopt(inherited)
        if left_openai:
            self._keep_platform_variables_out(None, None, None)
        super(Connected, type(self)).base_url.fset(self, endpoint.base_url)  # type: ignore[misc]  # the SDK's

    def _adopt(self, inherited: Inherited) -> None:
        """Take other settings in place, with connections of their own where the old ones do not fit."""
        if self._needs_own_connections(inherited):
            self._client = self._make_sender(inherited.settings, inherited.credentials)
        self._take(inherited)
        self._tell_wires()

    def __repr__(self) -> str:
        # Reports of a failed constructor print this object too.
        server = self._settings.endpoint if "_settings" in self.__dict__ else "not set up"
        return f"<{type(self).__name__} {server}>"

    # -- one call

    def _begin_call(self, options: Any, *, stream: bool) -> tuple[Any, Call]:
        """Return the options for the SDK, whose own tries and timers are off, and the call they belong to."""
        setting = self._timeout_setting(options.timeout)
        call = Call(
            timers=timers(setting, streamed=stream),
            max_retries=options.get_max_retries(self.max_retries),  # type: ignore[attr-defined]  # the SDK's
            streamed=stream,
            replicas=self._replicas,
            home=self._home,
            started=self._clock(),
        )
        plain = options.model_copy()
        plain.max_retries = 0
        if isinstance(plain.timeout, Timeouts):
            plain.timeout = openai.NOT_GIVEN
        plain.json_data = self._with_model(plain)
        return plain, call

    def _subject(self, call: Call, options: Any) -> Subject:
        """Return what a call is about, where there is a choice of replicas."""
        if call.replicas.only is not None or not isinstance(options.json_data, Mapping):
            return NO_SUBJECT
        headers = options.headers if isinstance(options.headers, Mapping) else {}
        return subject_of(
            {**options.json_data, **(options.extra_json or {})}, {**self._custom_headers, **headers}
        )

    def _timeout_setting(self, given: Any) -> Any:
        """Return the most specific setting: of the call, `timeout` of the client, `timeouts` of the client."""
        if not isinstance(given, openai.NotGiven):
            return given
        own: Any = self.timeout  # type: ignore[attr-defined]  # the SDK's
        return self._settings.timeouts if own == openai.DEFAULT_TIMEOUT else own

    def _with_model(self, options: Any) -> Any:
        """Return the body with its model's alias resolved, and the model filled in where one is set."""
        body = options.json_data
        if not isinstance(body, dict):
            return body
        if isinstance(body.get("model"), str):
            real = self._settings.model_aliases.get(body["model"])
            return body if real is None else {**body, "model": real}
        if self._lacks_model(options) and self._settings.model is not None:
            name = self._settings.model
            return {**body, "model": self._settings.model_aliases.get(name, name)}
        return body

    def _lacks_model(self, options: Any) -> bool:
        """Whether a request needs a model and none was given; None is a choice, and vLLM accepts it.

        The calls of `client.server` say so by `omit`: a request that code makes by itself is sent as it is.
        """
        body = options.json_data
        if options.method.lower() != "post" or not isinstance(body, dict):
            return False
        left_out = isinstance(body.get("model"), openai.Omit)
        if "model" not in body:
            left_out = options.url in MODEL_ROUTES
        return left_out and "model" not in (options.extra_json or {})

    def _happened(self, error: openai.OpenAIError) -> BaseException:
        """Return what really happened, explained: openai 2.x wraps every error of a transport, ours too."""
        cause = error.__cause__
        if type(error) in (openai.APIConnectionError, openai.APITimeoutError) and cause is not None:
            return self._explained(cause)
        return self._explained(error)

    def _not_ready(self, timeout: float, last: str) -> NotReady:
        server = str(self._settings.endpoint)
        error = NotReady(
            f"{server} was not ready within {timeout:g} s; last: {last}.",
            request=request_for(self, Ask("/health", own_route=True), call=None),
            server=server,
            last=last,
        )
        self._explained(error)
        return error

    def _short_call(self, seconds: float) -> Call:
        """Return the call of one question to the server, which answers in moments or is not there."""
        return Call(
            timers=timers(min(QUESTION_SECONDS, max(seconds, 0.1)), streamed=False),
            max_retries=len(self._replicas.members) - 1,  # one question to each
            streamed=False,
            replicas=self._replicas,
            home=self._home,
            started=self._clock(),
        )

    def _reply(self, ask: Ask, response: httpx2.Response) -> Reply:
        """Return an answer for a flow; raises the SDK's error for an error status, or where JSON must be."""
        if response.is_error:
            error: openai.APIStatusError = self._make_status_error_from_response(response)  # type: ignore[attr-defined]  # the SDK's
            raise error
        # With it come the SDK's types of all answers, 20 ms that making a client does not need.
        from vllm_connect.client.replies import NotAnAnswer, read_json  # noqa: PLC0415

        try:
            return Reply(response.status_code, read_json(response.content))
        except NotAnAnswer as error:
            if ask.raises:
                raise self._misshapen(response, str(error)) from error
            return Reply(response.status_code)

    @staticmethod
    def _failed_reply(error: openai.APIError) -> Reply:
        return Reply(error.status_code if isinstance(error, openai.APIStatusError) else 0, error=error)

    # -- what `client.server` asks

    def _asking_for_facts(self) -> Generator[Ask, Reply, ServerFacts]:
        own_header = any(name.lower() == "authorization" for name in self._custom_headers)
        sends_key = own_header or self._credentials.source is not None
        return discover_facts(str(self._settings.endpoint), sends_key=sends_key)

    def _noted(self, facts: ServerFacts) -> ServerFacts:
        self._catalogue.models = facts.models
        self._catalogue.dialect, self._catalogue.dialect_from = facts, self._clock()
        return facts

    @property
    def _response_type(self) -> Any:
        """The type by which the SDK is asked for the answer as it came."""
        return self._client.http.Response

    def _request_options(self, question: Question[Any]) -> Any:
        from openai._models import FinalRequestOptions  # noqa: PLC0415  # private, the same in 2.25 and 3.x

        self._refuse_any_of_several(question)
        url = url_of(self._settings.endpoint, question.path, own_route=question.own_route)
        return FinalRequestOptions.construct(**question.request_options(url, self._custom_query))

    def _read(self, question: Question[T], response: httpx2.Response) -> T:
        """Return what an answer means; raises InvalidAnswer for one of another shape."""
        if question.changes_models:
            self._catalogue.models = None
        try:
            if is_too_deep(response.content):
                raise self._misshapen(response, TOO_DEEP)
            return question.read(response)
        except (ValueError, RecursionError) as error:  # pydantic's is one too
            raise self._misshapen(response) from error

    @contextlib.contextmanager
    def _reading(self, response: httpx2.Response) -> Iterator[None]:
        """Raise InvalidAnswer where the SDK fails on what is no JSON.

        Where it is sound JSON, what failed is what a caller's own class made of its contents: that stays.
        """
        try:
            yield
        except (ValueError, RecursionError) as error:
            from vllm_connect.client.replies import NotAnAnswer, read_json  # noqa: PLC0415 - as above

            try:
                read_json(response.content)
            except NotAnAnswer as none:
                raise self._misshapen(response, str(none)) from error
            raise

    def _misshapen(self, response: httpx2.Response, reason: str = "") -> InvalidAnswer:
        path, kind = response.request.url.path, response.headers.get("content-type", "")
        server = self._server_of(response.request)
        text = shape_text(self._settings_at(server).endpoint.place, path, kind, reason)
        error = InvalidAnswer(text, response=response, server=server)
        self._explained(error)
        return judged(error, Attempt(phase="complete", status=response.status_code, reading="no answer"))

    # -- the SDK's hooks

    def _build_headers(self, options: Any, **more: Any) -> httpx2.Headers:
        """Build the SDK's headers, with the place of the key marked; a caller's own Authorization stays."""
        token = building_headers.set(True)
        try:
            headers: httpx2.Headers = super()._build_headers(options, **more)  # type: ignore[misc]  # the SDK's
        finally:
            building_headers.reset(token)
        custom = options.headers if isinstance(options.headers, Mapping) else {}
        given = (*self._custom_headers, *custom)
        if not any(name.lower() == "authorization" for name in given):
            headers["Authorization"] = KEY_GOES_HERE
            return headers
        # openai 2.x adds its own line where the caller spelt the name in another case.
        marked = KEY_GOES_HERE.encode()
        return type(headers)([(name, value) for name, value in headers.raw if value != marked])

    def _validate_headers(self, headers: Any, custom_headers: Any) -> None:
        """Accept a request without a key: vLLM needs none unless it was started with one."""

    def _build_request(self, options: Any, **more: Any) -> httpx2.Request:
        request: httpx2.Request = super()._build_request(options, **more)  # type: ignore[misc]  # the SDK's
        call = current_call.get()
        if call is not None:
            request.extensions = {**request.extensions, CALL: call}
        return request

    def _process_response(self, *, response: Any, retries_taken: int = 0, **more: Any) -> Any:
        tries = response.extensions.get("vllm_connect_tries", retries_taken + 1)
        return super()._process_response(  # type: ignore[misc]  # the SDK's
            response=response, retries_taken=tries - 1, **more
        )

    def _process_response_data(self, *, data: object, cast_to: Any, response: Any) -> Any:
        """Judge a plain answer of the SDK's own path before it makes its object of it."""
        if getattr(cast_to, "__name__", None) in JUDGED:
            # Loaded when first needed, as all that reads answers.
            from vllm_connect.client.sdk_answers import check_whole, whole_form  # noqa: PLC0415

            form = whole_form(cast_to, response)
            if form is not None:
                check_whole(self, form, response)
        answer = super()._process_response_data(  # type: ignore[misc]  # the SDK's
            data=data, cast_to=cast_to, response=response
        )
        name_all_reasoning(answer)
        return answer

    def _in_shape(self, answer: Any, response: httpx2.Response, cast_to: Any) -> Any:
        """Return the SDK's answer; raises what it is where it is not what was asked for."""
        from vllm_connect.client.sdk_answers import check_shape  # noqa: PLC0415 - as above

        check_shape(self, answer, response, cast_to)
        return answer

    def _judging_class(self, stream_cls: Any, cast_to: Any, *, stream: bool) -> Any:
        """Return the class of a stream that is judged at its end, in the place of the SDK's own."""
        if not stream:
            return stream_cls
        own: Any = self._default_stream_cls  # type: ignore[attr-defined]  # the SDK's
        if stream_cls is None and own in (openai.Stream, openai.AsyncStream):
            stream_cls = own[cast_to]
        from vllm_connect.client.sdk_streams import judging_class  # noqa: PLC0415 - as above

        return judging_class(stream_cls)

    def _make_status_error(self, err_msg: str, *, body: object, response: Any) -> openai.APIStatusError:
        """Make the SDK's error for a status, with the server's words and what to do in its message."""
        case, tells = self._told_of_status(response, body)
        wished = retry_after(response.headers, self._client.conduct.wall_clock())
        tells = tells._replace(fix=f"{tells.fix} {_wish_text(wished)}".strip())
        message = message_of_status(printable(err_msg[:LONGEST_STATUS_MESSAGE]), case, tells)
        error: openai.APIStatusError = super()._make_status_error(  # type: ignore[misc]  # the SDK's
            message, body=body, response=response
        )
        return judged(
            explained_as(error, tells.explanation, tells.fix, rule=tells.rule),
            Attempt(
                phase="complete",
                status=response.status_code,
                should_retry=should_retry(response.headers),
                retry_after=wished,
                engine_is_dead=is_engine_dead(response.status_code, case.said),
                lacks_model=is_model_missing(response.status_code, case.said),
            ),
        )


def _wish_text(seconds: float | None) -> str:
    """Return what to say of the wait that a server asks for, where it is one that we do not wait."""
    if seconds is None or seconds <= LONGEST_RETRY_AFTER:
        return ""
    return f"It asks not to be asked again for {seconds:g} s."


def url_of(endpoint: Endpoint, path: str, *, own_route: bool) -> str:
    """Return what the SDK takes as a request's URL: a path of the API, or vLLM's own route as a whole."""
    return f"{endpoint.root_url}{path}" if own_route else path


def request_for(client: Any, ask: Ask, *, call: Call | None) -> Any:
    """Return a GET built as the SDK builds its own, with the call that it belongs to."""
    from openai._models import FinalRequestOptions  # noqa: PLC0415  # private, the same in 2.25 and 3.x

    url = url_of(client.settings.endpoint, ask.path, own_route=ask.own_route)
    request = client._build_request(FinalRequestOptions.construct(method="get", url=url))
    request.extensions = {**request.extensions, CALL: call}
    if not ask.keyed:
        request.headers.pop("Authorization", None)
    return request


def with_model(options: Any, model: str) -> Any:
    """Return the options of a request with its model filled in."""
    named = options.model_copy()
    named.json_data = {**options.json_data, "model": model}
    return named
