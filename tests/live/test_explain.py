"""What real servers say when something is wrong, and what the client tells of it: the rules that a vLLM can be made to say."""

from __future__ import annotations

import contextlib
import inspect
import string
from collections.abc import Callable
from typing import Any, NamedTuple

import anyio
import openai
import pytest

from tests.live.servers import Certificates, Server
from vllm_connect import AsyncOpenAI, OpenAI, Timeouts, Tls

SHELLS = ("blocking", "asyncio")
MESSAGES: Any = [{"role": "user", "content": "Say something."}]
TOOLS: Any = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
PICTURE: Any = [
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}
]
CONTEXT = 1024

Step = Callable[[Any], Any]


def chat(**more: Any) -> Step:
    return lambda client: client.chat.completions.create(**{"messages": MESSAGES, "max_tokens": 4, **more})


def complete(**more: Any) -> Step:
    return lambda client: client.completions.create(**{"prompt": "a", "max_tokens": 4, **more})


def embed(**more: Any) -> Step:
    return lambda client: client.embeddings.create(**{"input": "a text", **more})


def post(path: str, **body: Any) -> Step:
    return lambda client: client.post(path, cast_to=object, body=body)


def constrained(**constraint: Any) -> dict[str, Any]:
    return {"extra_body": {"structured_outputs": constraint}}


def failed(shell: str, *steps: Step, **options: Any) -> Any:
    """Return the error of the last of some steps on one client; a stream is read to its end."""
    options = {"max_retries": 0, "parameters": "off", **options}

    async def aran() -> Any:
        async with AsyncOpenAI(**options) as client:
            for step in steps:
                answer = step(client)
                answer = await answer if inspect.isawaitable(answer) else answer
                if hasattr(answer, "__anext__"):
                    async for _ in answer:
                        pass

    with pytest.raises(openai.OpenAIError) as caught:
        if shell == "asyncio":
            anyio.run(aran)
        else:
            with OpenAI(**options) as client:
                for step in steps:
                    answer = step(client)
                    if hasattr(answer, "__next__"):
                        list(answer)
    return caught.value


class Asked(NamedTuple):
    steps: tuple[Step, ...]
    explanation: str
    fix: str


# Each rule -> what is asked of the chat server, with its key and `tiny` and `tiny-alias` for names; what is told, with
# $root for its address without /v1.
OF_CHAT: dict[str, Asked] = {
    "model-not-served": Asked(
        (chat(model="tiny-allias"),),
        "$root does not serve the model `tiny-allias`.",
        "Name one that it serves: tiny-alias. model_aliases={'tiny-allias': 'tiny-alias'} maps the name in your code to "
        "it.",
    ),
    "prompt-too-long": Asked(
        (complete(prompt=[5] * (CONTEXT + 1)),),
        f"The prompt has at least {CONTEXT + 1} tokens, and $root takes {CONTEXT} tokens of prompt and answer together.",
        "Shorten the prompt (client.server.tokenize() counts it), let the server cut it by "
        "extra_body={'truncate_prompt_tokens': -1}, or start the server with a larger --max-model-len if the model has it.",
    ),
    "prompt-fills-context": Asked(
        (complete(prompt=[5] * CONTEXT),),
        "The prompt fills the context of $root to the last token, and leaves none for the answer.",
        "Shorten the prompt, or start the server with a larger --max-model-len if the model has it.",
    ),
    "answer-too-long": Asked(
        (chat(max_tokens=5000),),
        f"max_tokens asks $root for 5000 tokens, and its context has {CONTEXT} for prompt and answer together.",
        f"Set max_tokens below {CONTEXT}, or leave it out: the answer then may use all that the prompt leaves.",
    ),
    "no-images": Asked(
        (chat(messages=PICTURE),),
        "The model tiny of $root takes text only.",
        "Leave the image (audio, video) out, or ask a model that takes it.",
    ),
    "structured-several": Asked(
        (chat(**constrained(regex="a", choice=["a"])),),
        "$root takes exactly one constraint for an answer.",
        "Keep one of json, regex, choice, grammar, json_object and structural_tag in structured_outputs, and none of them "
        "beside response_format.",
    ),
    "template-not-trusted": Asked(
        (chat(extra_body={"chat_template": "{{ messages }}"}),),
        "$root does not take a chat template from a request.",
        "Leave chat_template out, or start the server with --trust-request-chat-template (trusted clients only).",
    ),
    "media-options-not-trusted": Asked(
        (chat(extra_body={"mm_processor_kwargs": {"a": 1}}),),
        "$root does not take mm_processor_kwargs from a request.",
        "Leave mm_processor_kwargs out, or start the server with --trust-request-mm-kwargs (trusted clients only).",
    ),
    "prompt-embeds-off": Asked(
        (complete(extra_body={"prompt_embeds": "AA=="}),),
        "$root does not take embeddings in the place of a prompt.",
        "Start the server with --enable-prompt-embeds.",
    ),
    "too-many-logprobs": Asked(
        (chat(logprobs=True, top_logprobs=21),),
        "$root gives 20 logprobs for a token at most; 21 were asked for.",
        "Ask for fewer (top_logprobs; logprobs for completions), or start the server with --max-logprobs 21.",
    ),
    "reasoning-parser-missing": Asked(
        (chat(extra_body={"thinking_token_budget": 5}),),
        "$root was started without a reasoning parser, so that it cannot count thinking.",
        "Start the server with --reasoning-parser PARSER (qwen3, deepseek_r1, ...), or leave thinking_token_budget out.",
    ),
    "scale-out-off": Asked(
        (post("/chat/completions/render", messages=MESSAGES),),
        "$root was not started for /v1/chat/completions/render.",
        "Start the server with --enable-scale-out.",
    ),
    "parameter": Asked(
        (chat(temperature=3),),
        "$root refused the request for its `temperature`: temperature must be in [0, 2], got 3.0. "
        "(parameter=temperature, value=3.0).",
        "Correct `temperature`.",
    ),
    "other-kind": Asked(
        (embed(model="tiny"),),
        "$root has no /v1/embeddings: this server does not embed; embeddings need a pooling server.",
        "Set base_url to a server with an embedding model (--runner pooling; --convert embed makes one of a text model).",
    ),
    "other-kind-known": Asked(
        (lambda client: client.server.info(), embed(model="tiny")),
        "$root has no /v1/embeddings: this server generates text; embeddings need a pooling server.",
        "Set base_url to a server with an embedding model (--runner pooling; --convert embed makes one of a text model).",
    ),
    "missing-api": Asked(
        (lambda client: client.moderations.create(input="x"),),
        "$root has no route /v1/moderations: vLLM does not have this part of the OpenAI API.",
        "Use a server that has it; vLLM serves chat, completions, responses, embeddings and audio transcriptions.",
    ),
    "doubled-v1": Asked(
        (post("/v1/chat/completions", messages=MESSAGES),),
        "$root has no route /v1/v1/chat/completions: its /v1 stands there twice.",
        "base_url has its /v1 already ($root/v1): leave it out of the path of your call. The address was given by argument.",
    ),
    "method": Asked(
        (lambda client: client.get("/chat/completions", cast_to=object),),
        "$root does not take this request at /v1/chat/completions.",
        "vLLM's routes take POST where something is asked of a model, and GET where something is looked up; "
        "client.models.list() and the methods of client.server use the right one.",
    ),
    "route-optional": Asked(
        (lambda client: client.server.wake_up(),),
        "$root has no route /wake_up.",
        "vLLM has /wake_up with --enable-sleep-mode and the variable VLLM_SERVER_DEV_MODE=1; a gateway before it must let it "
        "through.",
    ),
    "route-unknown": Asked(
        (lambda client: client.get("/nowhere", cast_to=object),),
        "$root has no route /v1/nowhere.",
        "Check the path of your call, and base_url ($root/v1). vLLM has some routes only with an option or a kind of "
        "model: client.server.info() tells what this one serves.",
    ),
    "redirect-of-slash": Asked(
        (post("/chat/completions/", messages=MESSAGES),),
        "$root/v1 answered with a redirect (307) to $root/v1/chat/completions, which is not followed: key and prompt go only "
        "to the server you named.",
        "Write the path of your call as it is there: vLLM's have no slash at their end; what wants one is a "
        "gateway before it.",
    ),
    "answer-cut-short": Asked(
        (
            lambda client: client.chat.completions.parse(
                model="tiny", messages=MESSAGES, max_tokens=1, response_format={"type": "json_object"}
            ),
        ),
        "The answer of $root was cut short by its limit of tokens, so that it cannot be parsed.",
        "Raise max_tokens, or leave it out.",
    ),
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("rule", OF_CHAT)
def test_chat_server(rule: str, shell: str, chat_server: Server, live_key: str) -> None:
    """What a server that generates text refuses is told exactly."""
    steps, *texts = OF_CHAT[rule]
    error = failed(shell, *steps, base_url=chat_server.url, api_key=live_key)
    explanation, fix = (string.Template(text).safe_substitute(root=chat_server.root_url) for text in texts)
    assert (error.rule, error.explanation, error.fix) == (rule, explanation, fix)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "constraint", [{"regex": "("}, {"json": {"type": "text"}}, {"grammar": "no grammar"}], ids=str
)
@pytest.mark.parametrize("stream", [False, True])
def test_grammar(
    *, stream: bool, constraint: dict[str, Any], shell: str, chat_server: Server, live_key: str
) -> None:
    """A constraint of which no grammar can be made is told alike, as a status and within a stream."""
    asked = chat(stream=stream, **constrained(**constraint))
    error = failed(shell, asked, base_url=chat_server.url, api_key=live_key)
    assert (error.rule, error.status_code) == ("grammar", 400)
    assert error.explanation.startswith(f"{chat_server.root_url} cannot make a grammar of what the answer is")
    assert error.fix.startswith(
        "Correct the schema, regex or grammar in response_format or structured_outputs"
    )
    assert (type(error) is openai.APIError) is stream


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("rule", "given", "explanation"),
    [
        ("key-missing", {}, "$root wants an API key and none was sent."),
        ("key-refused", {"api_key": "wrong"}, "$root refused the API key from argument `api_key`."),
        (
            "own-header-refused",
            {"default_headers": {"Authorization": "Bearer mine"}},
            "$root refused the Authorization header that your code gives.",
        ),
    ],
)
def test_key(rule: str, given: dict[str, Any], explanation: str, shell: str, chat_server: Server) -> None:
    """A key that is missing or wrong is told with where it came from."""
    error = failed(shell, chat(model="tiny"), base_url=chat_server.url, **given)
    assert error.rule == rule
    assert error.explanation == string.Template(explanation).substitute(root=chat_server.root_url)


@pytest.mark.parametrize("shell", SHELLS)
def test_base_path(shell: str, chat_server: Server, live_key: str) -> None:
    """A base path without its /v1 is told with the address to write."""
    error = failed(shell, chat(model="tiny"), base_url=f"{chat_server.root_url}/llm", api_key=live_key)
    assert error.rule == "missing-v1"
    assert error.fix == f"Write base_url='{chat_server.root_url}/llm/v1'. The address was given by argument."


OF_EMBEDDING: dict[str, Asked] = {
    "other-kind": Asked(
        (chat(model="minilm"),),
        "$root has no /v1/chat/completions: this server generates no text; chat needs a generate server.",
        "Set base_url to a server with a model that generates text (--runner generate).",
    ),
    "other-kind-known": Asked(
        (lambda client: client.server.info(), chat(model="minilm")),
        "$root has no /v1/chat/completions: this server embeds and scores; chat needs a generate server.",
        "Set base_url to a server with a model that generates text (--runner generate).",
    ),
    "dimensions-fixed": Asked(
        (embed(dimensions=64),),
        "The model of $root makes vectors of one length only, and refuses `dimensions`.",
        "Leave `dimensions` out; with LangChain and others, where their setting of that name stands.",
    ),
    "model-unknown": Asked(
        (embed(model="minilmm"),),
        "$root does not serve the model `minilmm`.",
        "client.models.list() shows the names that this server accepts; leave `model` out to have its only one.",
    ),
    "model-not-served": Asked(
        (embed(), embed(model="minilmm")),
        "$root does not serve the model `minilmm`.",
        "Name one that it serves: minilm. model_aliases={'minilmm': 'minilm'} maps the name in your code to it.",
    ),
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("rule", OF_EMBEDDING)
def test_embedding_server(rule: str, shell: str, embed_server: Server) -> None:
    """What a server that embeds refuses is told exactly."""
    steps, *texts = OF_EMBEDDING[rule]
    error = failed(shell, *steps, base_url=embed_server.url)
    explanation, fix = (string.Template(text).safe_substitute(root=embed_server.root_url) for text in texts)
    assert (error.rule, error.explanation, error.fix) == (rule, explanation, fix)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("rule", "step"),
    [
        ("queue-full", chat(n=20)),
        ("adapter-not-loaded", lambda client: client.server.unload_lora_adapter("sql")),
        ("adapter-not-found", lambda client: client.server.load_lora_adapter("sql", "/nowhere/sql")),
    ],
)
def test_rich_server(rule: str, step: Step, shell: str, uds_server: Server) -> None:
    """A full queue, and adapters that are not there, are told as such."""
    error = failed(shell, step, base_url=uds_server.url)
    assert error.rule == rule, str(error)


def test_asleep(uds_server: Server) -> None:
    """A first token that does not come of a server with sleep mode is told with how to wake it."""
    # Over the SDK's transport a blocking read waits for the longer of both timers (docs/settings.md).
    timeouts = Timeouts(first_token=1, between_tokens=1)
    options: dict[str, Any] = {"base_url": uds_server.url, "timeouts": timeouts}
    with contextlib.ExitStack() as awake:

        def sleep(client: Any) -> tuple[()]:
            client.server.info()
            client.server.sleep(level=0, mode="wait")
            awake.callback(OpenAI(base_url=uds_server.url).server.wake_up)
            return ()

        error = failed("blocking", sleep, chat(stream=True), **options)
    assert error.rule == "timer-asleep"
    assert "client.server.wake_up()" in error.fix


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("rule", "more"),
    [
        ("tools-auto-off", {"tools": TOOLS}),
        ("tools-parser-missing", {"tools": TOOLS, "tool_choice": "required"}),
    ],
)
def test_tools_off(  # noqa: PLR0917 - by pytest
    rule: str, more: dict[str, Any], shell: str, tls_server: Server, live_key: str, certificates: Certificates
) -> None:
    """Tools of a server that was started without them are told with the options to start it with."""
    tls = Tls(ca=str(certificates.authority))
    error = failed(shell, chat(**more), base_url=tls_server.url, api_key=live_key, tls=tls)
    assert error.rule == rule
    assert "--tool-call-parser PARSER" in error.fix


@pytest.mark.parametrize("shell", SHELLS)
def test_tls(
    shell: str, tls_server: Server, chat_server: Server, certificates: Certificates, live_key: str
) -> None:
    """An authority that is not known, http to a TLS port and https to a plain one are told with what to write."""
    key = {"api_key": live_key}
    assert failed(shell, chat(model="tiny"), base_url=tls_server.url, **key).rule == "certificate-authority"
    own = Tls(ca=str(certificates.certificate))
    error = failed(shell, chat(model="tiny"), base_url=tls_server.url, tls=own, **key)
    assert error.rule == "certificate-other-authority"
    plain = failed(shell, chat(model="tiny"), base_url=tls_server.url.replace("https", "http"), **key)
    assert (plain.rule, tls_server.url in plain.fix) == ("closed-plain", True)
    secure = failed(shell, chat(model="tiny"), base_url=chat_server.url.replace("http", "https"), **key)
    assert (secure.rule, chat_server.url in secure.fix) == ("tls-to-plain", True)
