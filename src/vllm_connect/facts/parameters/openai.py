"""The parameters that OpenAI's reference names, and what vLLM makes of each."""

from __future__ import annotations

from typing import Any

from vllm_connect.facts.parameters.parameter import Parameter, RequestKind

__all__ = ["OPENAI"]

CHAT: tuple[RequestKind, ...] = ("chat",)
COMPLETIONS: tuple[RequestKind, ...] = ("completions",)
EMBEDDINGS: tuple[RequestKind, ...] = ("embeddings",)
RESPONSES: tuple[RequestKind, ...] = ("responses",)
TEXT: tuple[RequestKind, ...] = ("chat", "completions")
GENERATING: tuple[RequestKind, ...] = ("chat", "completions", "responses")
ALL: tuple[RequestKind, ...] = ("chat", "completions", "embeddings", "responses")

PROTOCOL = "vLLM 0.32.0, entrypoints/openai/*/protocol.py"
POOLING = "vLLM 0.32.0, entrypoints/pooling/base/protocol.py"
ABSENT = "openai 3.54.0 has it, vLLM 0.32.0's protocol.py does not; asked of a real server"


def _row(name: str, kinds: tuple[RequestKind, ...], type: str, meaning: str, **more: Any) -> Parameter:  # noqa: A002 - the column's name
    return Parameter(
        name=name, kinds=kinds, type=type, meaning=meaning, origin="OpenAI", **{"source": PROTOCOL, **more}
    )


def _ignored(
    name: str,
    kinds: tuple[RequestKind, ...],
    type: str,  # noqa: A002 - as above
    meaning: str,
    **more: Any,
) -> Parameter:
    return _row(name, kinds, type, meaning, **{"effect": "ignores", "source": ABSENT, **more})


NAMED = "responses name it since 0.33, repeat it in the answer, and do nothing about it"
PENALTY = {"range": "-2 to 2", "default": "0, or the model's own"}

OPENAI = (
    # -- what a request is about
    _row("messages", CHAT, "list[dict[str, Any]]", "the conversation"),
    _row(
        "prompt",
        COMPLETIONS,
        "str | list[str] | list[int] | list[list[int]] | None",
        "the text to go on from, or its tokens",
        range="at most 1024 prompts (VLLM_MAX_COMPLETION_PROMPTS)",
    ),
    _row("input", EMBEDDINGS, "str | list[str] | list[int] | list[list[int]]", "what to embed"),
    _row("input", RESPONSES, "str | list[dict[str, Any]]", "the conversation"),
    _row(
        "model",
        ALL,
        "str | None",
        "a served name",
        default="the first model",
        note="needed by releases before 0.8.5",
    ),
    _row("instructions", RESPONSES, "str | None", "the system message"),
    _row(
        "previous_response_id",
        RESPONSES,
        "str | None",
        "goes on from a stored response",
        note="needs VLLM_ENABLE_RESPONSES_API_STORE=1",
    ),
    _row(
        "prompt", RESPONSES, "dict[str, Any] | None", "a stored prompt", effect="refuses", note="always a 400"
    ),
    # -- how tokens are chosen
    _row(
        "temperature",
        GENERATING,
        "float | None",
        "how evenly tokens are drawn",
        default="1, or the model's own",
        range="0 to 2 (above 2 a 400 since 0.24)",
        note="0 is greedy; the default comes from generation_config.json",
    ),
    _row(
        "top_p",
        GENERATING,
        "float | None",
        "draws from the most likely tokens of this mass",
        default="1, or the model's own",
        range="above 0, to 1",
    ),
    _row("frequency_penalty", GENERATING, "float | None", "lowers tokens by how often they came", **PENALTY),
    _row("presence_penalty", GENERATING, "float | None", "lowers tokens that came", **PENALTY),
    _row(
        "logit_bias",
        TEXT,
        "dict[str, int] | None",
        "added to the logits of tokens",
        range="-100 to 100 each, tokens of the vocabulary",
    ),
    _row("seed", TEXT, "int | None", "makes drawing repeatable", range="64 bits"),
    _row("n", TEXT, "int | None", "how many answers", default="1", range="at least 1"),
    _ignored(
        "best_of",
        COMPLETIONS,
        "int | None",
        "draws more answers and returns the likeliest",
        harmless=(1,),
        note="gone with the V0 engine, without a word of the server's",
    ),
    _row(
        "stop",
        TEXT,
        "str | list[str] | None",
        "ends the answer before one of these texts",
        range="at most 4 since 0.28 (VLLM_MAX_STOP_STRINGS)",
    ),
    # -- how much
    _row(
        "max_tokens",
        CHAT,
        "int | None",
        "the most tokens of the answer",
        default="what the context has left",
        range="at least 1, at most max_model_len",
    ),
    _row(
        "max_tokens",
        COMPLETIONS,
        "int | None",
        "the most tokens of the answer",
        default="16",
        range="at least 0, at most max_model_len",
    ),
    _row(
        "max_completion_tokens",
        CHAT,
        "int | None",
        "the most tokens of the answer, reasoning included; goes before max_tokens",
        default="what the context has left",
    ),
    _row(
        "max_output_tokens",
        RESPONSES,
        "int | None",
        "the most tokens of the answer",
        default="what the context has left",
    ),
    _row("max_tool_calls", RESPONSES, "int | None", "the most calls of built-in tools"),
    _row(
        "truncation",
        RESPONSES,
        'Literal["auto", "disabled"] | None',
        "cuts a conversation that is too long",
        default='"disabled"',
    ),
    # -- the form of the answer
    _row(
        "response_format",
        CHAT,
        "dict[str, Any]",
        "JSON, JSON by a schema, or vLLM's structural tags",
        loses="constraint",
        note="json_object needs a word of JSON in the prompt: the model is not told",
    ),
    _row("text", RESPONSES, "dict[str, Any]", "JSON, or JSON by a schema, as `format`", loses="constraint"),
    _row("stream", GENERATING, "bool | None", "the answer as server-sent events", default="false"),
    _row(
        "stream_options",
        TEXT,
        "dict[str, Any] | None",
        "`include_usage`; vLLM's own: `continuous_usage_stats`",
        note="with stream alone, else a 400",
    ),
    _ignored("stream_options", RESPONSES, "dict[str, Any] | None", "how a stream is obfuscated"),
    _row("echo", COMPLETIONS, "bool | None", "the prompt before the answer", default="false"),
    _row(
        "suffix",
        COMPLETIONS,
        "str | None",
        "the text after the answer",
        effect="differs",
        note="a 400 before 0.31; since then for models that fill in the middle",
    ),
    _row("logprobs", CHAT, "bool | None", "the log probability of each token", default="false"),
    _row(
        "logprobs",
        COMPLETIONS,
        "int | None",
        "that many log probabilities of each token",
        range="0 to the server's --max-logprobs (20)",
    ),
    _row(
        "top_logprobs",
        CHAT,
        "int | None",
        "that many log probabilities of each token; needs logprobs",
        default="0",
        range="-1 (all), 0 to the server's --max-logprobs (20)",
    ),
    _row(
        "top_logprobs",
        RESPONSES,
        "int | None",
        "that many log probabilities of each token",
        default="0",
        note='needs include=["message.output_text.logprobs"]',
    ),
    _row(
        "include",
        RESPONSES,
        "list[str] | None",
        "what else the answer holds",
        effect="differs",
        note="message.output_text.logprobs and reasoning.encrypted_content are read, the others accepted",
    ),
    _row(
        "encoding_format",
        EMBEDDINGS,
        'Literal["float", "base64"]',
        "how vectors are written",
        default='"float"',
        note='vLLM\'s own: "bytes" and "bytes_only" since 0.13; the SDK asks for base64 by itself and decodes float32',
    ),
    _row(
        "dimensions",
        EMBEDDINGS,
        "int",
        "the length of the vectors",
        effect="differs",
        note="a 400 unless the model's configuration says that it is a Matryoshka model",
    ),
    # -- tools
    _row(
        "tools",
        CHAT,
        "list[dict[str, Any]] | None",
        "the functions that the model may call",
        loses="tools",
        note="an empty list is a 400 since 0.20",
    ),
    _row(
        "tools",
        RESPONSES,
        "list[dict[str, Any]]",
        "the functions and built-in tools that the model may call",
        loses="tools",
    ),
    _row(
        "tool_choice",
        CHAT,
        "str | dict[str, Any]",
        '"none", "auto", "required" or a function',
        loses="tools",
        default='"auto" with tools',
        note='"auto" needs --enable-auto-tool-choice and --tool-call-parser',
    ),
    _row(
        "tool_choice",
        RESPONSES,
        "str | dict[str, Any]",
        '"none", "auto", "required" or a function',
        loses="tools",
        default='"auto"',
    ),
    _row(
        "parallel_tool_calls",
        ("chat", "responses"),
        "bool | None",
        "whether one answer may call several",
        default="true",
        note="false is honoured since 0.12",
    ),
    _ignored(
        "functions",
        CHAT,
        "list[dict[str, Any]]",
        "the functions that the model may call, as before tools",
        replaced_by="tools",
        loses="tools",
        harmless=([], ()),
    ),
    _ignored(
        "function_call",
        CHAT,
        "str | dict[str, Any]",
        "the choice among functions, as before tool_choice",
        replaced_by="tool_choice",
        loses="effect",
        harmless=("none",),
        note="what is lost is lost with `functions`",
    ),
    _ignored("web_search_options", CHAT, "dict[str, Any]", "OpenAI's web search"),
    # -- reasoning
    _row(
        "reasoning_effort",
        CHAT,
        'Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None',
        "how much the model reasons",
        note='what it does is up to the chat template; "none" since 0.18, "minimal", "xhigh" and "max" since 0.22',
    ),
    _row("reasoning", RESPONSES, "dict[str, Any] | None", "how much the model reasons, as `effort`"),
    # -- what the platform keeps, counts and bills
    _row(
        "user",
        ALL,
        "str",
        "who is served",
        effect="differs",
        note="vLLM ignores it; routers before it may keep a user on a replica",
    ),
    _ignored("store", CHAT, "bool | None", "keeps the answer for later", harmless=(False,)),
    _row(
        "store",
        RESPONSES,
        "bool | None",
        "keeps the answer for later",
        default="true",
        effect="differs",
        note="nothing is kept without VLLM_ENABLE_RESPONSES_API_STORE=1",
    ),
    _row(
        "background",
        RESPONSES,
        "bool | None",
        "answers at once and goes on working",
        default="false",
        note="needs VLLM_ENABLE_RESPONSES_API_STORE=1",
    ),
    _ignored(
        "metadata", CHAT, "dict[str, str] | None", "notes on a stored answer", loses="nothing", harmless=({},)
    ),
    _row("metadata", RESPONSES, "dict[str, str] | None", "notes, which the answer repeats"),
    _ignored(
        "prompt_cache_key",
        CHAT,
        "str",
        "groups prompts for the cache",
        loses="nothing",
        note="vLLM caches prefixes by itself; cache_salt keeps tenants apart",
    ),
    _row(
        "prompt_cache_key",
        RESPONSES,
        "str",
        "groups prompts for the cache",
        effect="ignores",
        loses="nothing",
        note="declared, and said to be ignored",
    ),
    _ignored(
        "prompt_cache_options",
        ("chat", "responses"),
        "dict[str, Any]",
        "how OpenAI's cache is used",
        loses="nothing",
        note=NAMED,
    ),
    _ignored(
        "prompt_cache_retention",
        ("chat", "responses"),
        'Literal["in_memory", "24h"] | None',
        "how long OpenAI's cache keeps a prompt",
        loses="nothing",
        note=NAMED,
    ),
    _ignored(
        "safety_identifier",
        ("chat", "responses"),
        "str",
        "who is served, for OpenAI's policies",
        loses="nothing",
        note=NAMED,
    ),
    _ignored(
        "service_tier",
        CHAT,
        'Literal["auto", "default", "flex", "scale", "priority", "fast"] | None',
        "what is paid for speed",
        loses="nothing",
        harmless=("auto", "default"),
        note="vLLM's own is `priority`",
    ),
    _row(
        "service_tier",
        RESPONSES,
        'Literal["auto", "default", "flex", "scale", "priority", "fast"] | None',
        "what is paid for speed",
        effect="differs",
        default='"auto"',
        note='declared and without effect; "fast" and null are a 400',
    ),
    _ignored("moderation", ("chat", "responses"), "dict[str, Any]", "OpenAI's moderation of the answer"),
    # -- what vLLM does not generate
    _ignored("audio", CHAT, "dict[str, Any] | None", "the voice of a spoken answer"),
    _ignored(
        "modalities",
        CHAT,
        'list[Literal["text", "audio"]] | None',
        "text, or speech too",
        harmless=(["text"], ("text",)),
    ),
    _ignored(
        "prediction",
        CHAT,
        "dict[str, Any] | None",
        "a text that most of the answer will be",
        loses="nothing",
        note="saves time alone; vLLM has speculative decoding as a server option",
    ),
    _ignored(
        "verbosity",
        CHAT,
        'Literal["low", "medium", "high"] | None',
        "how long answers are",
        harmless=("medium",),
    ),
    _ignored("access_programs", RESPONSES, "list[dict[str, Any]]", "programs of the OpenAI platform"),
    _ignored("background_options", RESPONSES, "dict[str, Any]", "how a background response runs"),
    _ignored(
        "context_management", RESPONSES, "list[dict[str, Any]]", "how a long conversation is made shorter"
    ),
    _ignored("conversation", RESPONSES, "str | dict[str, Any]", "a conversation stored at OpenAI"),
    _ignored("image", RESPONSES, "dict[str, Any]", "how an image is made"),
)
