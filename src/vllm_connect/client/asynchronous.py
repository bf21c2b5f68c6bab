"""The async client, on asyncio or trio: the SDK's own, connected to your server."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import anyio
import anyio.to_thread
import openai

from vllm_connect.client.arguments import SETTINGS, refuse_unknown_arguments
from vllm_connect.client.connected import SDK_KEY, Connected, Inherited, request_for, with_model
from vllm_connect.client.spread import SURVEY_SECONDS
from vllm_connect.discovery import Ask, Pause, Progress, Reply, discover_models
from vllm_connect.dispatch import Call, Credentials, Member, current_call
from vllm_connect.dispatch.call import call_of
from vllm_connect.endpoint import Hidden, Tls
from vllm_connect.errors import AnswerIncomplete, ServerUnreachable
from vllm_connect.facts import only_base_model
from vllm_connect.settings import Limits, Settings, Timeouts

if TYPE_CHECKING:
    import httpx2

    from vllm_connect.client.lane import Lane
    from vllm_connect.client.resources import AsyncChat, AsyncCompletions, AsyncEmbeddings, AsyncModels
    from vllm_connect.client.server import AsyncServer

__all__ = ["AsyncOpenAI"]

T = TypeVar("T")

# Seconds between two looks at what a thread does, which wakes no task.
LOOK = 0.005


class AsyncOpenAI(Connected, openai.AsyncOpenAI):
    """The official async OpenAI client, set up for your vLLM server.

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
    All arguments of openai.AsyncOpenAI that have a meaning towards vLLM keep it. Differences: docs/deviations.md.

    Raises SettingsError, which is an openai.OpenAIError, naming the setting, its place and the fix.
    """

    @staticmethod
    def _make_sender(settings: Settings, credentials: Credentials, borrowed: Any = None) -> Any:
        # With the first client, not with the package: a program that makes none does not load the wire.
        from vllm_connect.dispatch.sdk_sender import async_sender  # noqa: PLC0415

        return async_sender(settings, credentials, borrowed)

    def __init__(
        self,
        *,
        api_key: str | Callable[[], Awaitable[str]] | None = None,
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
        http_client: httpx2.AsyncClient | None = None,
        _strict_response_validation: bool = False,
        _inherited: Inherited | None = None,
        **sdk_arguments: Any,
    ) -> None:
        arguments = {name: value for name, value in locals().items() if name in SETTINGS}
        arguments["api_key"] = Hidden(api_key)
        del api_key
        if _inherited is None:
            refuse_unknown_arguments(sdk_arguments, set(AsyncOpenAI.__init__.__annotations__))
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
        api_key: str | Callable[[], Awaitable[str]] | None = None,
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

        Takes what openai.AsyncOpenAI.copy takes, and `model`, `model_aliases`, `timeouts`.
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
    def chat(self) -> AsyncChat:
        """Chat completions; `model` may be left out."""
        from vllm_connect.client.resources import AsyncChat  # noqa: PLC0415

        return AsyncChat(self)

    @cached_property
    def completions(self) -> AsyncCompletions:
        """Text completions; `model` may be left out."""
        from vllm_connect.client.resources import AsyncCompletions  # noqa: PLC0415

        return AsyncCompletions(self)

    @cached_property
    def embeddings(self) -> AsyncEmbeddings:
        """Embeddings; `model` may be left out."""
        from vllm_connect.client.resources import AsyncEmbeddings  # noqa: PLC0415

        return AsyncEmbeddings(self)

    @cached_property
    def models(self) -> AsyncModels:
        """The served models; `retrieve` works on vLLM too."""
        from vllm_connect.client.resources import AsyncModels  # noqa: PLC0415

        return AsyncModels(self)

    @cached_property
    def _lane(self) -> Lane | None:
        from vllm_connect.client.lane import Lane, takes_the_lane  # noqa: PLC0415

        return (
            Lane(self) if self._client.wires is not None and takes_the_lane(type(self), AsyncOpenAI) else None
        )

    @cached_property
    def server(self) -> AsyncServer:
        """What vLLM offers beside the OpenAI API."""
        from vllm_connect.client.server import AsyncServer  # noqa: PLC0415

        return AsyncServer(self)

    async def wait_until_ready(
        self, timeout: float = 600.0, *, report: Callable[[Progress], None] = lambda _progress: None
    ) -> None:
        """Wait for a server that is still loading its model.

        `timeout` is in seconds; `report` is called with Waiting and Ready, each with the seconds elapsed.
        Raises NotReady when the time is over, and at once what waiting cannot mend, such as a wrong key.
        """
        last = await self._driven(self._probing(timeout, report))
        if last is not None:
            raise self._not_ready(timeout, last)

    # -- one call

    async def request(
        self, cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None
    ) -> Any:
        """Send one request as one call: model filled in, tries and timers by dispatch, errors explained."""
        plain, call = self._begin_call(options, stream=stream)
        how = {"stream": stream, "stream_cls": self._judging_class(stream_cls, cast_to, stream=stream)}
        try:
            return await self._completed(cast_to, plain, call, **how)
        except ServerUnreachable as error:
            if call.timers.ready <= 0 or error.phase != "connect":
                raise
        await self.wait_until_ready(min(call.timers.ready, call.remaining(self._clock())))
        return await self._completed(cast_to, plain, call, **how)

    async def _completed(self, cast_to: Any, options: Any, call: Call, **how: Any) -> Any:
        """Send a request that may lack its model; ask again where the server has another one by now."""
        if self._replicas.only is None and self._wants_survey():
            await self._survey(call)
        options = await self._looked_over(options, call)
        if not self._lacks_model(options):
            return await self._sent(cast_to, options, call, **how)
        model = await self._discovered_model(call)
        try:
            return await self._sent(cast_to, with_model(options, model), call, **how)
        except openai.NotFoundError:
            current = await self._discovered_model(call, again=True)
            if current == model:
                raise
        return await self._sent(cast_to, with_model(options, current), call, **how)

    async def _looked_over(self, options: Any, call: Call) -> Any:
        """Return the request as this server understands it; asks it what it is where that decides."""
        from vllm_connect.client import review  # noqa: PLC0415 - loaded with the first request

        found = review.reviewed(self, options)
        if found is None:
            return options
        kind, body = found
        if review.wants_dialect(self, kind, body):
            await self._learn_dialect(call)
        options, body = review.as_judged(self, kind, body, options)
        question = review.counting(self, kind, body)
        if question is not None:
            prompt = await self._counted(question, call)
            options = review.as_fitted(self, kind, body, options, prompt)
        return options

    async def _learn_dialect(self, call: Call) -> None:
        """Ask the server what it is; one task asks, the others wait for it, none longer than its call may take."""
        from vllm_connect.client import review  # noqa: PLC0415 - as above

        catalogue, since = self._catalogue, self._catalogue.dialect_from
        with anyio.move_on_after(review.asking_seconds(self, call)):
            async with catalogue.asking_task():
                if catalogue.dialect_from != since:
                    return
                question = self._short_call(review.asking_seconds(self, call))
                try:
                    facts = await self._driven(review.asking(self), question)
                except openai.OpenAIError as error:  # the call itself meets and tells it
                    if review.is_away(error):
                        return
                    facts = None
                review.remember(self, facts)

    async def _counted(self, question: dict[str, Any], call: Call) -> tuple[int, int] | None:
        """Return the tokens of a prompt and of the context, None where the server does not count."""
        try:
            counted = await self.server.tokenize(**question, timeout=call.remaining(self._clock()))
        except openai.APIStatusError:
            return None
        return counted.count, counted.max_model_len

    async def _sent(self, cast_to: Any, options: Any, call: Call, *, stream: bool, stream_cls: Any) -> Any:
        send = super().request

        async def attempt() -> Any:
            try:
                return await send(cast_to, options, stream=stream, stream_cls=stream_cls)
            except openai.OpenAIError as error:
                happened = self._happened(error)
                raise happened from happened.__cause__

        call.subject = self._subject(call, options)
        token = current_call.set(call)
        try:
            return await self._client.conduct.arun(call, attempt)
        finally:
            current_call.reset(token)

    async def _process_response(self, *, response: Any, **more: Any) -> Any:
        with self._reading(response):
            try:
                answer = await super()._process_response(response=response, **more)
            except AnswerIncomplete as error:
                from vllm_connect.client.acquaintance import aaccepts  # noqa: PLC0415 - loaded where it decides

                if not await aaccepts(self, error.attempt, call_of(response.request.extensions)):
                    raise
                answer = await super()._process_response(response=response, **more)
            return self._in_shape(answer, response, more["cast_to"])

    async def _discovered_model(self, call: Call, *, again: bool = False) -> str:
        if self._catalogue.models is None or again:
            self._catalogue.models = await self._driven(discover_models(), call)
        return only_base_model(self._catalogue.models, self._settings.endpoint.origin)

    async def _survey(self, call: Call) -> None:
        """Look names up, and ask replicas what they serve, all at once; who does not answer in time is asked later."""

        async def ask(member: Member) -> None:
            models = None
            try:
                # Of the key's source too: the call itself meets and tells it.
                with contextlib.suppress(Exception):
                    question = self._short_call(SURVEY_SECONDS).pinned_to(member)
                    models = await self._driven(discover_models(), question)
            finally:
                self._surveyed(member.name, models)

        seconds = self._survey_seconds(call)
        with anyio.move_on_after(seconds):
            await self._find(seconds)
            async with anyio.create_task_group() as tasks:
                for member in self._members_due():
                    tasks.start_soon(ask, member)
        self._learn_models()

    async def _find(self, seconds: float) -> None:
        """Look names up where it is time to, and wait so long; a resolver cannot be interrupted, and goes on by itself."""
        lookup, now = self._replicas.lookup, self._clock()
        if not lookup.is_due(now):
            return
        with anyio.move_on_after(seconds):
            if not lookup.begin(now):
                while not lookup.answered.is_set():  # noqa: ASYNC110 - a thread sets it
                    await anyio.sleep(LOOK)
                return
            await anyio.to_thread.run_sync(self._look_up_names, abandon_on_cancel=True)

    async def _driven(self, flow: Generator[Any, Reply, T], call: Call | None = None) -> T:
        """Do the I/O of a flow: answer its questions, let its pauses pass."""
        try:
            step = next(flow)
            while True:
                if isinstance(step, Pause):
                    await anyio.sleep(step.seconds)
                    step = next(flow)
                else:
                    step = flow.send(await self._answer(step, call or self._short_call(step.seconds)))
        except StopIteration as end:
            value: T = end.value
            return value

    async def _answer(self, ask: Ask, call: Call) -> Reply:
        asked = call.alike()

        if not call.is_pinned:
            await self._find(self._survey_seconds(call))

        async def attempt() -> Reply:
            return self._reply(ask, await self._client.send(request_for(self, ask, call=asked)))

        try:
            reply: Reply = await self._client.conduct.arun(asked, attempt)
        except openai.APIError as error:
            self._explained(error)
            if ask.raises:
                raise
            return self._failed_reply(error)
        return reply

    async def _prepare_options(self, options: Any) -> Any:
        """Leave the key to dispatch: the SDK would ask a function for it here, a second time per request."""
        return options

    async def _refresh_api_key(self) -> str:
        key = await self._credentials.akey()
        return "" if key is None else key.reveal()
