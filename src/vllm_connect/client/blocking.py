"""The blocking client: the SDK's own, connected to your server."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import openai

from vllm_connect.client.arguments import SETTINGS, refuse_unknown_arguments
from vllm_connect.client.connected import SDK_KEY, Connected, Inherited, request_for, with_model
from vllm_connect.client.spread import SURVEY_SECONDS
from vllm_connect.discovery import Ask, Pause, Progress, Reply, discover_models
from vllm_connect.dispatch import Call, Credentials, Member, current_call
from vllm_connect.endpoint import Endpoint, Hidden, Tls
from vllm_connect.errors import ServerUnreachable
from vllm_connect.facts import only_base_model
from vllm_connect.settings import Limits, Settings, Timeouts

if TYPE_CHECKING:
    import httpx2

    from vllm_connect.client.lane import Lane
    from vllm_connect.client.resources import Chat, Completions, Embeddings, Models
    from vllm_connect.client.server import Server

__all__ = ["OpenAI"]

T = TypeVar("T")


class OpenAI(Connected, openai.OpenAI):
    """The official OpenAI client, set up for your vLLM server.

    Everything is optional: what is not given comes from the environment (VLLM_BASE_URL, VLLM_API_KEY,
    VLLM_MODEL and their aliases), then from `vllm-connect.toml` or `[tool.vllm-connect]`, then from the user
    file, else it is http://localhost:8000/v1 without a key.

    `base_url` takes any sane spelling of the address, `unix:///run/vllm.sock` included, or a list of replicas, or
    `dns+http://name:8000` for all addresses of a name (docs/replicas.md); `profile` names a table of a settings file; `model` is used where a call names none; `model_aliases` maps names in your
    code to served ones; `timeouts` sets the timers (see Timeouts); `tls` a private CA or a client certificate;
    `limits` what is taken from a server at most; `long_calls` whether plain calls travel as streams
    (docs/settings.md); `resume=True` goes on with cut streams, `hedge=True` asks a second replica where a first
    token is late (docs/replicas.md); `wire="sdk"` sends everything over the SDK's own transport; `parameters` says
    what is done about parameters that the server ignores, `fit` about answers that do not fit its context,
    `system_roles` about `developer` and late system messages (docs/parameters.md).
    All arguments of openai.OpenAI that have a meaning towards vLLM keep it. Differences: docs/deviations.md.

    Raises SettingsError, which is an openai.OpenAIError, naming the setting, its place and the fix.
    """

    @staticmethod
    def _make_sender(settings: Settings, credentials: Credentials, borrowed: Any = None) -> Any:
        # With the first client, not with the package: a program that makes none does not load the wire.
        from vllm_connect.dispatch.sdk_sender import sync_sender  # noqa: PLC0415

        return sync_sender(settings, credentials, borrowed)

    def __init__(
        self,
        *,
        api_key: str | Callable[[], str] | None = None,
        base_url: str | httpx2.URL | Sequence[str] | None = None,
        profile: str | None = None,
        model: str | None = None,
        model_aliases: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
        timeout: float | httpx2.Timeout | openai.NotGiven | None = openai.NOT_GIVEN,
        tls: Tls | None = None,
        limits: Limits | None = None,
        long_calls: Literal["auto", "stream", "plain"] | None = None,
        resume: bool | None = None,
        hedge: bool | None = None,
        wire: Literal["own", "sdk"] | None = None,
        parameters: Literal["warn", "strict", "off"] | None = None,
        fit: Literal["off", "clamp", "error"] | None = None,
        system_roles: Literal["keep", "fold"] | None = None,
        allow_insecure_key: bool | None = None,
        use_openai_api_key: bool | None = None,
        max_retries: int = openai.DEFAULT_MAX_RETRIES,
        organization: str | None = None,
        project: str | None = None,
        webhook_secret: str | None = None,
        websocket_base_url: str | httpx2.URL | None = None,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, object] | None = None,
        http_client: httpx2.Client | None = None,
        _strict_response_validation: bool = False,
        _inherited: Inherited | None = None,
        **sdk_arguments: Any,
    ) -> None:
        arguments = {name: value for name, value in locals().items() if name in SETTINGS}
        arguments["api_key"] = Hidden(api_key)
        del api_key
        if _inherited is None:
            refuse_unknown_arguments(sdk_arguments, set(OpenAI.__init__.__annotations__))
        if timeouts is not None and not isinstance(timeout, openai.NotGiven):
            raise TypeError("Give `timeout` (one number, or an httpx Timeout) or `timeouts`, not both.")
        self._connect(arguments, _inherited)
        super().__init__(
            api_key=SDK_KEY,
            base_url=self._settings.endpoint.base_url,
            timeout=timeout,
            max_retries=max_retries,
            organization=organization,
            project=project,
            webhook_secret=webhook_secret,
            websocket_base_url=websocket_base_url,
            default_headers=default_headers,
            default_query=default_query,
            http_client=self._make_sender(self._settings, self._credentials, http_client),
            _strict_response_validation=_strict_response_validation,
        )
        self._keep_platform_variables_out(organization, project, default_headers)
        self._tell_wires()

    def copy(
        self,
        *,
        api_key: str | Callable[[], str] | None = None,
        base_url: str | httpx2.URL | Sequence[str] | openai.NotGiven | None = None,
        model: str | None = None,
        model_aliases: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
        resume: bool | None = None,
        hedge: bool | None = None,
        timeout: float | httpx2.Timeout | openai.NotGiven | None = openai.NOT_GIVEN,
        _extra_kwargs: Mapping[str, Any] = {},
        **options: Any,
    ) -> Self:
        """Return a client with some settings changed; connections and discovered models are shared.

        Takes what openai.OpenAI.copy takes, and `model`, `model_aliases`, `timeouts`, `resume`, `hedge`; `base_url`
        may be a list.
        """
        given = Hidden(api_key)
        del api_key
        inherited = self._inherited(
            api_key=given,
            base_url=None if isinstance(base_url, openai.NotGiven) else base_url,
            keep_timeouts=isinstance(timeout, openai.NotGiven),
            changes={
                "model": model,
                "model_aliases": model_aliases,
                "timeouts": timeouts,
                "resume": resume,
                "hedge": hedge,
            },
        )
        if timeouts is not None:
            timeout = openai.DEFAULT_TIMEOUT
        if self._needs_own_connections(inherited) and options.get("http_client") is None:
            options["http_client"] = self._make_sender(inherited.settings, inherited.credentials)
        copied = super().copy(
            api_key=SDK_KEY,
            base_url=inherited.settings.endpoint.base_url,
            timeout=timeout,
            _extra_kwargs={**_extra_kwargs, "_inherited": inherited},
            **options,
        )
        if self._settings.endpoint.is_openai and not inherited.settings.endpoint.is_openai:
            given_headers = options.get("default_headers") or options.get("set_default_headers")
            copied._keep_platform_variables_out(
                options.get("organization"), options.get("project"), given_headers
            )
        return copied

    with_options = copy

    # -- the four resources, with `model` optional; loaded when first used, as the SDK loads its own

    @cached_property
    def chat(self) -> Chat:
        """Chat completions; `model` may be left out."""
        from vllm_connect.client.resources import Chat  # noqa: PLC0415

        return Chat(self)

    @cached_property
    def completions(self) -> Completions:
        """Text completions; `model` may be left out."""
        from vllm_connect.client.resources import Completions  # noqa: PLC0415

        return Completions(self)

    @cached_property
    def embeddings(self) -> Embeddings:
        """Embeddings; `model` may be left out."""
        from vllm_connect.client.resources import Embeddings  # noqa: PLC0415

        return Embeddings(self)

    @cached_property
    def models(self) -> Models:
        """The served models; `retrieve` works on vLLM too."""
        from vllm_connect.client.resources import Models  # noqa: PLC0415

        return Models(self)

    @cached_property
    def _lane(self) -> Lane | None:
        from vllm_connect.client.lane import Lane, takes_the_lane  # noqa: PLC0415

        return Lane(self) if self._client.wires is not None and takes_the_lane(type(self), OpenAI) else None

    @cached_property
    def server(self) -> Server:
        """What vLLM offers beside the OpenAI API."""
        from vllm_connect.client.server import Server  # noqa: PLC0415

        return Server(self)

    def wait_until_ready(
        self, timeout: float = 600.0, *, report: Callable[[Progress], None] = lambda _progress: None
    ) -> None:
        """Wait for a server that is still loading its model.

        `timeout` is in seconds; `report` is called with Waiting and Ready, each with the seconds elapsed.
        Raises NotReady when the time is over, and at once what waiting cannot mend, such as a wrong key.
        """
        last = self._driven(self._probing(timeout, report))
        if last is not None:
            raise self._not_ready(timeout, last)

    # -- one call

    def request(self, cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None) -> Any:
        """Send one request as one call: model filled in, tries and timers by dispatch, errors explained."""
        plain, call = self._begin_call(options, stream=stream)
        how = {"stream": stream, "stream_cls": self._judging_class(stream_cls, cast_to, stream=stream)}
        try:
            return self._completed(cast_to, plain, call, **how)
        except ServerUnreachable as error:
            if call.timers.ready <= 0 or error.phase != "connect":
                raise
        self.wait_until_ready(min(call.timers.ready, call.remaining(self._clock())))
        return self._completed(cast_to, plain, call, **how)

    def _completed(self, cast_to: Any, options: Any, call: Call, **how: Any) -> Any:
        """Send a request that may lack its model; ask again where the server has another one by now."""
        if self._replicas.only is None and self._wants_survey():
            self._survey(call)
        options = self._looked_over(options, call)
        if not self._lacks_model(options):
            return self._sent(cast_to, options, call, **how)
        model = self._discovered_model(call)
        try:
            return self._sent(cast_to, with_model(options, model), call, **how)
        except openai.NotFoundError:
            current = self._discovered_model(call, again=True)
            if current == model:
                raise
        return self._sent(cast_to, with_model(options, current), call, **how)

    def _looked_over(self, options: Any, call: Call) -> Any:
        """Return the request as this server understands it; asks it what it is where that decides."""
        from vllm_connect.client import review  # noqa: PLC0415 - loaded with the first request

        found = review.reviewed(self, options)
        if found is None:
            return options
        kind, body = found
        if review.wants_dialect(self, kind, body):
            self._learn_dialect(call)
        options, body = review.as_judged(self, kind, body, options)
        question = review.counting(self, kind, body)
        if question is not None:
            prompt = self._counted(question, call)
            options = review.as_fitted(self, kind, body, options, prompt)
        return options

    def _learn_dialect(self, call: Call) -> None:
        """Ask the server what it is; one thread asks, the others wait for it, none longer than its call may take."""
        from vllm_connect.client import review  # noqa: PLC0415 - as above

        seconds = review.asking_seconds(self, call)
        catalogue, since = self._catalogue, self._catalogue.dialect_from
        turn = catalogue.asking
        if not turn.acquire(timeout=seconds):
            return
        try:
            if catalogue.dialect_from != since:
                return
            question = self._short_call(review.asking_seconds(self, call))
            try:
                facts = self._driven(review.asking(self), question)
            except openai.OpenAIError as error:  # the call itself meets and tells it
                if review.is_away(error):
                    return
                facts = None
            review.remember(self, facts)
        finally:
            turn.release()

    def _counted(self, question: dict[str, Any], call: Call) -> tuple[int, int] | None:
        """Return the tokens of a prompt and of the context, None where the server does not count."""
        try:
            counted = self.server.tokenize(**question, timeout=call.remaining(self._clock()))
        except openai.APIStatusError:
            return None
        return counted.count, counted.max_model_len

    def _sent(self, cast_to: Any, options: Any, call: Call, *, stream: bool, stream_cls: Any) -> Any:
        send = super().request

        def attempt() -> Any:
            try:
                return send(cast_to, options, stream=stream, stream_cls=stream_cls)
            except openai.OpenAIError as error:
                happened = self._happened(error)
                raise happened from happened.__cause__

        call.subject = self._subject(call, options)
        token = current_call.set(call)
        try:
            return self._client.conduct.run(call, attempt)
        finally:
            current_call.reset(token)

    def _process_response(self, *, response: Any, **more: Any) -> Any:
        with self._reading(response):
            return self._in_shape(
                super()._process_response(response=response, **more), response, more["cast_to"]
            )

    def _discovered_model(self, call: Call, *, again: bool = False) -> str:
        if self._catalogue.models is None or again:
            self._catalogue.models = self._driven(discover_models(), call)
        return only_base_model(self._catalogue.models, self._settings.endpoint.origin)

    def _survey(self, call: Call) -> None:
        """Look names up, and ask replicas what they serve, all at once; who does not answer in time is not waited for."""
        until = self._clock() + self._survey_seconds(call)
        self._find(until - self._clock())
        threads = [
            threading.Thread(target=self._survey_one, args=(member,), daemon=True)
            for member in self._members_due()
        ]
        with contextlib.suppress(RuntimeError):  # no more threads, or the interpreter is about to end
            for thread in threads:
                thread.start()
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(until - self._clock(), 0.0))
        self._learn_models()

    def _find(self, seconds: float) -> None:
        """Look names up where it is time to, and wait so long; a resolver cannot be interrupted, and goes on by itself."""
        lookup, now = self._replicas.lookup, self._clock()
        if not lookup.is_due(now):
            return
        if not lookup.begin(now):
            lookup.answered.wait(max(seconds, 0.0))
            return
        asking = threading.Thread(target=self._look_up_names, daemon=True)
        with contextlib.suppress(RuntimeError):  # no more threads, or the interpreter is about to end
            asking.start()
            asking.join(max(seconds, 0.0))

    def _servers(self) -> list[Endpoint]:
        """Return every server by itself: of a name the one at each address, or the name where it is not found."""
        self._find(SURVEY_SECONDS)
        found = (member.endpoint for member in self._replicas.members)
        return [endpoint.by_name if endpoint.every_address else endpoint for endpoint in found]

    def _survey_one(self, member: Member) -> None:
        models = None
        with contextlib.suppress(Exception):  # of the key's source too: the call itself meets and tells it
            models = self._driven(discover_models(), self._short_call(SURVEY_SECONDS).pinned_to(member))
        self._surveyed(member.name, models)

    def _driven(self, flow: Generator[Any, Reply, T], call: Call | None = None) -> T:
        """Do the I/O of a flow: answer its questions, let its pauses pass."""
        try:
            step = next(flow)
            while True:
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    step = next(flow)
                else:
                    step = flow.send(self._answer(step, call or self._short_call(step.seconds)))
        except StopIteration as end:
            value: T = end.value
            return value

    def _answer(self, ask: Ask, call: Call) -> Reply:
        asked = call.alike()
        if not call.is_pinned:
            self._find(self._survey_seconds(call))
        try:
            reply: Reply = self._client.conduct.run(
                asked, lambda: self._reply(ask, self._client.send(request_for(self, ask, call=asked)))
            )
        except openai.APIError as error:
            self._explained(error)
            if ask.raises:
                raise
            return self._failed_reply(error)
        return reply

    def _prepare_options(self, options: Any) -> Any:
        """Leave the key to dispatch: the SDK would ask a function for it here, a second time per request."""
        return options

    def _refresh_api_key(self) -> str:
        key = self._credentials.key()
        return "" if key is None else key.reveal()
