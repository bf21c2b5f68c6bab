"""The requests that a real server and its stand-in are both asked, as a table by the server that they go to."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

ServerName = Literal["plain", "rich", "embedding", "classifying"]
SERVERS: tuple[ServerName, ...] = get_args(ServerName)

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"

ASKED: list[Any] = [{"role": "user", "content": "Tell me about the sea."}]
WEATHER = {
    "name": "weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"enum": ["Rome", "Oslo"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
TOOLS = [{"type": "function", "function": WEATHER}]
NAMED = {"type": "function", "function": {"name": "weather"}}
YES_OR_NO = {"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"]}
YES_OR_NO_FORMAT = {"type": "json_schema", "json_schema": {"name": "answer", "schema": YES_OR_NO}}
LONG_TEXT = "word " * 1500


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request; those `before` and `after` it are asked for what they leave behind, and not compared."""

    name: str
    server: ServerName
    method: str = "POST"
    path: str = ""
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    with_key: bool = True
    before: tuple["Exchange", ...] = ()
    after: tuple["Exchange", ...] = ()


def _row(server: ServerName, path: str, name: str, body: Any = None, **more: Any) -> Exchange:
    """Make a row: JSON bodies are dumped, bytes go as they are, no body means GET unless a method is given."""
    given = {} if body is None else {"content-type": "application/json"}
    headers = given | more.pop("headers", {})
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    method = more.pop("method", "GET" if body is None else "POST")
    return Exchange(
        name=f"{server}: {name}",
        server=server,
        method=method,
        path=path,
        body=content,
        headers={name: value for name, value in headers.items() if value},
        **more,
    )


def _chats(server: ServerName, rows: Mapping[str, Mapping[str, Any]]) -> Iterator[Exchange]:
    for name, parameters in rows.items():
        yield _row(
            server,
            CHAT,
            f"chat, {name}",
            {"messages": ASKED, "max_tokens": 5, "temperature": 0, **parameters},
        )


def _completions(server: ServerName, rows: Mapping[str, Mapping[str, Any]]) -> Iterator[Exchange]:
    for name, parameters in rows.items():
        body = {"prompt": "The sea is", "max_tokens": 5, "temperature": 0, **parameters}
        yield _row(server, COMPLETIONS, f"completion, {name}", body)


def _embeddings(rows: Mapping[str, Mapping[str, Any]]) -> Iterator[Exchange]:
    for name, parameters in rows.items():
        yield _row("embedding", EMBEDDINGS, f"embedding, {name}", {"input": "The sea", **parameters})


def _streamed(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {f"{name}, streamed": {**parameters, "stream": True} for name, parameters in rows.items()}


USAGE = {"stream_options": {"include_usage": True}}
RUNNING_USAGE = {"stream_options": {"include_usage": True, "continuous_usage_stats": True}}

# What both a whole and a streamed reply show.
CHAT_BOTH: dict[str, dict[str, Any]] = {
    "bare": {},
    "by alias": {"model": "tiny-alias"},
    "two choices": {"n": 2, "temperature": 1, "seed": 1},
    "logprobs": {"logprobs": True, "top_logprobs": 2},
    "logprobs alone": {"logprobs": True},
    "token ids": {"return_token_ids": True},
    "logprobs as ids": {"logprobs": True, "top_logprobs": 1, "return_tokens_as_token_ids": True},
    "tool required": {"tools": TOOLS, "tool_choice": "required", "max_tokens": 60},
    "tool named": {"tools": TOOLS, "tool_choice": NAMED, "max_tokens": 60},
    "tool cut": {"tools": TOOLS, "tool_choice": "required", "max_tokens": 4},
    "tools not used": {"tools": TOOLS, "tool_choice": "none"},
    "choice": {"structured_outputs": {"choice": ["yes", "no"]}, "max_tokens": 20},
    "schema": {"response_format": YES_OR_NO_FORMAT, "max_tokens": 40},
    "regex": {"structured_outputs": {"regex": "a{3}"}, "max_tokens": 20},
    "echo": {"echo": True},
    "request id": {"request_id": "mine"},
    "prompt text": {"return_prompt_text": True},
    # The engine refuses these, so that a stream has begun.
    "bad regex": {"structured_outputs": {"regex": "("}},
    "bad type in a schema": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "bogus"}}}
    },
    "logit bias outside": {"logit_bias": {"999999": 1}},
    "allowed tokens empty": {"allowed_token_ids": []},
    "too many logprobs": {"logprobs": True, "top_logprobs": 21},
    "thinking budget": {"thinking_token_budget": 5},
}
CHAT_WHOLE: dict[str, dict[str, Any]] = {
    "unknown and ignored parameters": {
        "store": True,
        "metadata": {"a": "b"},
        "topk": 3,
        "guided_choice": ["a"],
        "user": "me",
    },
    "prompt logprobs": {"prompt_logprobs": 1},
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]},
    "any role": {"messages": [{"role": "alien", "content": "Hello"}]},
    "stop token": {"stop_token_ids": list(range(2048)), "min_tokens": 0},
    "clamped output": {"messages": [{"role": "user", "content": "a " * 100}], "max_tokens": 950, "stop": ["a", "e"]},
    "wrong model": {"model": "nope"},
    "model like a path": {"model": "/home/me/model.bin"},
    "empty model": {"model": ""},
    "no messages": {"messages": []},
    "messages missing": {"messages": None},
    "message without a role": {"messages": [{"content": "Hello"}]},
    "message that is a text": {"messages": ["Hello"]},
    "image": {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/"}}]}]},
    "unknown part": {"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]},
    "temperature too high": {"temperature": 3},
    "temperature negative": {"temperature": -1},
    "temperature a word": {"temperature": "warm"},
    "top_p": {"top_p": 0},
    "top_k": {"top_k": -2},
    "min_p": {"min_p": 2},
    "presence penalty": {"presence_penalty": 3},
    "repetition penalty": {"repetition_penalty": 0},
    "n of zero": {"n": 0},
    "n greedy": {"n": 2},
    "n too many": {"n": 20000, "temperature": 1},
    "max_tokens zero": {"max_tokens": 0},
    "max_tokens too many": {"max_tokens": 5000},
    "max_completion_tokens too many": {"max_completion_tokens": 5000},
    "max_tokens a fraction": {"max_tokens": 1.5},
    "min above max": {"min_tokens": 6},
    "prompt too long": {"messages": [{"role": "user", "content": LONG_TEXT}]},
    "prompt far too long": {"messages": [{"role": "user", "content": LONG_TEXT * 40}]},
    "empty tools": {"tools": []},
    "tool without a function": {"tools": [{"type": "function"}]},
    "tool that is a number": {"tools": [5]},
    "tool without a name": {"tools": [{"type": "function", "function": {"parameters": 5}}]},
    "choice of a tool without a name": {"tools": TOOLS, "tool_choice": {"type": "function"}},
    "custom tool": {"tools": [{"type": "custom", "custom": {"name": "x"}}]},
    "choice of tool without tools": {"tool_choice": "required"},
    "unknown choice of tool": {"tools": TOOLS, "tool_choice": "perhaps"},
    "unmatched choice of tool": {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}},
    "stream options without stream": {**USAGE},
    "top_logprobs without logprobs": {"top_logprobs": 2},
    "five stops": {"stop": ["a", "b", "c", "d", "e"]},
    "empty stop": {"stop": [""]},
    "two constraints": {"structured_outputs": {"choice": ["a"], "regex": "a"}},
    "no constraint": {"structured_outputs": {}},
    "schema missing": {"response_format": {"type": "json_schema"}},
    "unknown format": {"response_format": {"type": "xml"}},
    "format without a type": {"response_format": {}},
    "format that is a text": {"response_format": "text"},
    "schema without a name": {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
    "choice that is a text": {"structured_outputs": {"choice": "a"}},
    "bias that is a word": {"logit_bias": {"1": "x"}},
    "template arguments that are a number": {"chat_template_kwargs": 5},
    "untrusted template": {"chat_template": "x"},
    "untrusted media arguments": {"mm_processor_kwargs": {"a": 1}},
    "reasoning effort": {"reasoning_effort": "enormous"},
    "both ends": {"add_generation_prompt": True, "continue_final_message": True},
    "cache salt": {"cache_salt": "a/b"},
    "bias not ids": {"logit_bias": {"word": 1}},
    "logprobs negative": {"logprobs": True, "top_logprobs": -2},
    "truncation": {"truncate_prompt_tokens": 5000},
    "twelve mistakes": dict.fromkeys(("n", "seed", "top_p", "top_k", "min_p", "stream", "logprobs", "max_tokens", "min_tokens", "top_logprobs", "priority", "logit_bias"), "x"),
}  # fmt: skip
CHAT_STREAMED: dict[str, dict[str, Any]] = {
    "with usage": {**USAGE},
    "with running usage": {**RUNNING_USAGE},
    "usage and token ids": {**USAGE, "return_token_ids": True},
    "prompt logprobs": {"prompt_logprobs": 1},
    "usage a word": {"stream_options": {"include_usage": "x"}},
    "stream options a number": {"stream_options": 5},
    "wrong model": {"model": "nope"},
    "temperature too high": {"temperature": 3},
}
COMPLETION_BOTH: dict[str, dict[str, Any]] = {
    "bare": {},
    "two prompts": {"prompt": ["The sea", "A tree"]},
    "token ids as prompt": {"prompt": [5, 6, 7]},
    "two choices": {"n": 2, "temperature": 1, "seed": 1},
    "logprobs": {"logprobs": 2},
    "echo": {"echo": True},
    "echo with logprobs": {"echo": True, "logprobs": 1},
    "token ids": {"return_token_ids": True},
    "bad grammar": {"structured_outputs": {"grammar": "nonsense"}},
    "regex": {"structured_outputs": {"regex": "a{3}"}, "max_tokens": 20},
}
COMPLETION_WHOLE: dict[str, dict[str, Any]] = {
    "echo alone": {"echo": True, "max_tokens": 0},
    "echo alone with logprobs": {"echo": True, "max_tokens": 0, "logprobs": 1},
    "default length": {"max_tokens": None},
    "prompt logprobs": {"prompt_logprobs": 1},
    "empty prompt": {"prompt": ""},
    "no prompts": {"prompt": []},
    "mixed prompts": {"prompt": ["a", 1]},
    "prompt a number": {"prompt": 5},
    "too many prompts": {"prompt": ["a"] * 1025},
    "token outside": {"prompt": [999999]},
    "suffix": {"suffix": "end"},
    "prompt embeds": {"prompt_embeds": "AAAA"},
    "prompt too long": {"prompt": LONG_TEXT},
    "ids too long": {"prompt": [7] * 1100},
    "prompt fills the context": {"prompt": [7] * 1024},
    "logprobs negative": {"logprobs": -2},
    "too many logprobs": {"logprobs": 21},
    "wrong model": {"model": "nope"},
    "max_tokens zero": {"max_tokens": 0},
    "beam search": {"use_beam_search": True, "n": 2},
}
COMPLETION_STREAMED: dict[str, dict[str, Any]] = {
    "with usage": {**USAGE},
    "with running usage": {**RUNNING_USAGE},
    "beam search": {"use_beam_search": True, "n": 2},
}
EMBEDDING: dict[str, dict[str, Any]] = {
    "bare": {},
    "by name": {"model": "minilm"},
    "several": {"input": ["The sea", "A tree"]},
    "token ids": {"input": [5, 6, 7]},
    "lists of ids": {"input": [[5, 6], [7]]},
    "base64": {"encoding_format": "base64"},
    "base64 of float16": {"encoding_format": "base64", "embed_dtype": "float16"},
    "big-endian": {"encoding_format": "base64", "endianness": "big"},
    "bytes": {"encoding_format": "bytes"},
    "bytes only": {"encoding_format": "bytes_only"},
    "unknown encoding": {"encoding_format": "morse"},
    "dimensions": {"dimensions": 10},
    "normalize": {"normalize": True},
    "empty list": {"input": []},
    "a number": {"input": 5},
    "null": {"input": None},
    "text and number": {"input": ["a", 5]},
    "dimensions a word": {"dimensions": "x"},
    "text beside messages": {"messages": 5},
    "too long": {"input": LONG_TEXT},
    "truncated": {"input": LONG_TEXT, "truncate_prompt_tokens": 100},
    "truncation too long": {"truncate_prompt_tokens": 5000},
    "wrong model": {"model": "nope"},
    "unknown parameter": {"colour": "blue"},
}

SCORED = {"text_1": "the sea", "text_2": ["the ocean", "a form"]}
RERANKED = {"query": "the sea", "documents": ["a form", "the ocean"]}

INSTRUMENTS = (
    _row("plain", "/v1/models", "models"),
    _row("plain", "/v1/models", "models without a key", with_key=False),
    _row("plain", "/v1/models", "models with another key", with_key=False, headers={"Authorization": "Bearer x"}),
    _row("plain", "/v1/models", "key in x-api-key", with_key=False, headers={"x-api-key": "x"}),
    _row("plain", "/v1/models/tiny", "one model"),
    _row("plain", "/v1/nothing", "unknown route below /v1", with_key=False),
    _row("plain", "/v1/nothing", "unknown route below /v1 with the key"),
    _row("plain", "/nothing", "unknown route", with_key=False),
    _row("plain", "/v1/v1/chat/completions", "doubled /v1", {"messages": ASKED}),
    _row("plain", "/chat/completions", "missing /v1", {"messages": ASKED}),
    _row("plain", "/v1/chat/completions/", "trailing slash", {"messages": ASKED}),
    _row("plain", CHAT, "GET of a POST route", method="GET"),
    _row("plain", "/v1/models", "POST of a GET route", {}),
    _row("plain", "/health", "HEAD", method="HEAD"),
    _row("plain", "/health", "health"),
    _row("plain", "/ping", "ping"),
    _row("plain", "/ping", "ping by POST", {}),
    _row("plain", "/version", "version"),
    _row("plain", "/load", "load"),
    _row("plain", EMBEDDINGS, "embeddings of a generating server", {"input": "x"}),
    _row("plain", "/score", "score of a generating server", SCORED),
    _row("plain", "/sleep", "sleep without development mode", {}),
    _row("plain", "/v1/load_lora_adapter", "adapter without the variable", {"lora_name": "a", "lora_path": "/a"}),
    _row("plain", "/inference/v1/generate", "scale-out route", {}),
    _row("plain", "/abort_requests", "abort without its option", {}),
    _row("plain", CHAT, "no body", b""),
    _row("plain", CHAT, "broken JSON", b'{"messages": [}'),
    _row("plain", CHAT, "JSON that is no object", b"[1]"),
    _row("plain", CHAT, "JSON null", b"null"),
    _row("plain", CHAT, "invalid UTF-8", b'{"messages": "\xff"}'),
    _row("plain", CHAT, "another content type", b"{}", headers={"content-type": "text/plain"}),
    _row("plain", CHAT, "no content type", b"{}", headers={"content-type": ""}),
    _row("plain", CHAT, "compressed body", b"\x1f\x8b\x08\x00", headers={"content-encoding": "gzip"}),
    _row("plain", CHAT, "preflight", method="OPTIONS", with_key=False,
         headers={"Origin": "http://example.com", "Access-Control-Request-Method": "POST"}),
    _row("plain", CHAT, "id by header", {"messages": ASKED, "max_tokens": 2}, headers={"X-Request-Id": "mine"}),
    _row("plain", CHAT, "rank outside", {"messages": ASKED, "max_tokens": 2}, headers={"X-data-parallel-rank": "7"}),
    _row("plain", "/tokenize", "tokenize", {"prompt": "The sea"}, with_key=False),
    _row("plain", "/tokenize", "tokenize messages", {"messages": ASKED, "return_token_strs": True}),
    _row("plain", "/tokenize", "tokenize nothing", {}),
    _row("plain", "/tokenize", "tokenize for a wrong model", {"prompt": "x", "model": "nope"}),
    _row("plain", "/detokenize", "detokenize", {"tokens": [5, 6, 7]}, with_key=False),
    _row("plain", "/detokenize", "detokenize words", {"tokens": ["a"]}),
    _row("plain", "/detokenize", "detokenize nothing", {}),
)  # fmt: skip

POOLED = (
    _row("embedding", "/v1/models", "models"),
    _row("embedding", CHAT, "chat of an embedding server", {"messages": ASKED}),
    _row("embedding", EMBEDDINGS, "embedding of a conversation", {"messages": ASKED}),
    _row("embedding", EMBEDDINGS, "embedding of messages that are a number", {"messages": 5}),
    _row("embedding", EMBEDDINGS, "embedding of nothing", {}),
    _row("embedding", "/pooling", "pooling of nothing", {}),
    _row("embedding", "/score", "score", SCORED),
    _row("embedding", "/v1/score", "score below /v1", {"queries": ["a", "b"], "documents": ["c", "d"]}),
    _row("embedding", "/score", "score of nothing", {}),
    _row("embedding", "/score", "score of unequal lists", {"text_1": ["a", "b"], "text_2": ["c", "d", "e"]}),
    _row("embedding", "/rerank", "rerank", RERANKED),
    _row("embedding", "/v1/rerank", "rerank below /v1, the best", {**RERANKED, "top_n": 1}),
    _row("embedding", "/v2/rerank", "rerank below /v2, no query", {"documents": ["a"]}),
    _row("embedding", "/pooling", "pooling", {"input": "The sea"}),
    _row("embedding", "/pooling", "pooling in base64", {"input": "The sea", "encoding_format": "base64"}),
    _row("embedding", "/pooling", "pooling for another task", {"input": "x", "task": "classify"}),
    _row("embedding", "/classify", "classify of an embedding server", {"input": "x"}),
    _row("embedding", "/tokenize", "tokenize", {"prompt": "the sea", "return_token_strs": True}),
    _row("embedding", "/detokenize", "detokenize", {"tokens": [5, 6]}),
)

RICH_BOTH: dict[str, dict[str, Any]] = {
    "reasoning": {},
    "reasoning hidden": {"include_reasoning": False},
    "reasoning hidden, token ids": {"include_reasoning": False, "return_token_ids": True},
    "no reasoning": {"chat_template_kwargs": {"enable_thinking": False}},
    "no effort": {"reasoning_effort": "none"},
    "usage": {},
    "queue full": {"n": 9, "temperature": 1},
}

RESPONSE: dict[str, dict[str, Any]] = {
    "bare": {},
    "with instructions": {"instructions": "Be brief."},
    "of messages": {"input": [{"role": "user", "content": "Tell me."}]},
    "not stored": {"store": False},
    "tool required": {
        "tools": [{"type": "function", **WEATHER}],
        "tool_choice": "required",
        "max_output_tokens": 60,
    },
    "schema": {
        "text": {"format": {"type": "json_schema", "name": "answer", "schema": YES_OR_NO}},
        "max_output_tokens": 40,
    },
    "metadata": {"metadata": {"a": "b"}, "user": "me", "truncation": "auto"},
    "wrong model": {"model": "nope"},
    "temperature too high": {"temperature": 3},
    "previous one unknown": {"previous_response_id": "resp_nope"},
    "previous one misnamed": {"previous_response_id": "nope"},
    "no input": {"input": None},
    "too long": {"input": LONG_TEXT},
    "background without store": {"background": True, "store": False},
}
MESSAGE: dict[str, dict[str, Any]] = {
    "bare": {},
    "with a system text": {"system": "Be brief."},
    "stop sequences": {"stop_sequences": ["zzzz"]},
    "wrong model": {"model": "nope"},
    "no messages": {"messages": []},
    "no max_tokens": {"max_tokens": None},
    "too long": {"messages": [{"role": "user", "content": LONG_TEXT}]},
}


def _responses(server: ServerName, rows: Mapping[str, Mapping[str, Any]]) -> Iterator[Exchange]:
    for name, parameters in rows.items():
        body = {"input": "Tell me about the sea.", "max_output_tokens": 5, "temperature": 0, **parameters}
        yield _row(server, RESPONSES, f"response, {name}", body)


def _messages(server: ServerName, rows: Mapping[str, Mapping[str, Any]]) -> Iterator[Exchange]:
    for name, parameters in rows.items():
        body = {"model": "tiny", "messages": ASKED, "max_tokens": 5, "temperature": 0, **parameters}
        yield _row(server, MESSAGES, f"message, {name}", body)


SLEEP = _row("rich", "/sleep?level=1", "sleep", {})
WAKE_UP = _row("rich", "/wake_up", "wake up", {})
PAUSE = _row("rich", "/pause", "pause", {})
RESUME = _row("rich", "/resume", "resume", {})

RICH = (
    _row("rich", "/v1/models", "models"),
    _row("rich", "/load", "load"),
    replace(SLEEP, after=(WAKE_UP,)),
    replace(WAKE_UP, before=(SLEEP,)),
    _row("rich", "/is_sleeping", "asleep?", before=(SLEEP,), after=(WAKE_UP,)),
    _row("rich", "/is_sleeping", "awake?"),
    replace(PAUSE, after=(RESUME,)),
    replace(RESUME, before=(PAUSE,)),
    _row("rich", "/is_paused", "paused?"),
    _row("rich", "/health", "health asleep", before=(SLEEP,), after=(WAKE_UP,)),
    _row("rich", "/reset_prefix_cache", "reset the prefix cache", {}),
    _row("rich", "/abort_requests", "abort", {"request_ids": ["nothing"]}),
    _row("rich", "/abort_requests", "abort all", {}),
    _row("rich", "/v1/load_lora_adapter", "adapter that is nowhere", {"lora_name": "a", "lora_path": "/nowhere"}),
    _row("rich", "/v1/load_lora_adapter", "adapter without a path", {"lora_name": "a"}),
    _row("rich", "/v1/load_lora_adapter", "adapter without a name", {"lora_name": "", "lora_path": "/nowhere"}),
    _row("rich", "/v1/load_lora_adapter", "adapter of nothing", {}),
    _row("rich", "/v1/unload_lora_adapter", "unloading an unknown adapter", {"lora_name": "a"}),
    _row("rich", "/v1/models", "request id echoed", headers={"X-Request-Id": "mine"}),
    _row("rich", f"{RESPONSES}/resp_nope", "response that is unknown"),
    _row("rich", f"{RESPONSES}/nope", "response that is misnamed"),
    _row("rich", f"{RESPONSES}/resp_nope/cancel", "cancelling an unknown response", {}),
    _row("plain", f"{RESPONSES}/resp_nope", "response where nothing is stored"),
    _row("plain", RESPONSES, "response in the background", {"input": "x", "background": True}),
    _row("plain", MESSAGES + "/count_tokens", "count tokens", {"model": "tiny", "messages": ASKED}),
    _row("plain", MESSAGES, "message without a key", {"messages": ASKED}, with_key=False),
    _row("plain", MESSAGES, "message with the key in x-api-key", {"messages": ASKED}, with_key=False,
         headers={"x-api-key": "x"}),
    _row("plain", CHAT + "/batch", "batch of conversations", {"messages": [ASKED, ASKED], "max_tokens": 3}),
    _row("plain", CHAT + "/batch", "batch, streamed", {"messages": [ASKED], "stream": True}),
    _row("plain", CHAT + "/batch", "batch of a conversation", {"messages": ASKED}),
    _row("plain", "/invocations", "invocation of chat", {"messages": ASKED, "max_tokens": 3}, with_key=False),
    _row("plain", "/invocations", "invocation of completion", {"prompt": "x", "max_tokens": 3}, with_key=False),
    _row("plain", "/invocations", "invocation of nothing", {}, with_key=False),
    _row("plain", "/generative_scoring", "scoring by generation", {}, with_key=False),
    _row("plain", "/v1/audio/transcriptions", "transcription", {}),
    _row("plain", "/v1/images/generations", "image", {}),
    _row("plain", "/kv_event_sources", "cache events"),
    _row("plain", "/tokenizer_info", "tokenizer without its option"),
    _row("plain", "/server_info", "server's settings without development mode"),
    _row("embedding", "/v2/embed", "embedding by Cohere's route", {"model": "minilm", "texts": ["a"]}),
    _row("embedding", "/v2/embed", "embedding by Cohere's route, typed",
         {"model": "minilm", "texts": ["a"], "input_type": "search_query", "embedding_types": ["float"]}),
    _row("embedding", RESPONSES, "response of an embedding server", {"input": "x"}),
    _row("embedding", "/invocations", "invocation of embedding", {"input": "x"}),
)  # fmt: skip

CLASSIFIED: dict[str, dict[str, Any]] = {
    "a text": {"input": "The sea"},
    "several texts": {"input": ["The sea", "A tree"]},
    "token ids": {"input": [5, 6]},
    "a conversation": {"messages": ASKED},
    "without activation": {"input": "The sea", "use_activation": False},
    "nothing": {},
    "no texts": {"input": []},
    "a number": {"input": 5},
    "too long": {"input": LONG_TEXT},
    "wrong model": {"input": "x", "model": "nope"},
}
CLASSIFYING = (
    *(_row("classifying", "/classify", f"classify, {name}", body) for name, body in CLASSIFIED.items()),
    _row("classifying", "/pooling", "pooling", {"input": "The sea"}),
    _row("classifying", "/pooling", "pooling for another task", {"input": "x", "task": "embed"}),
    _row("classifying", EMBEDDINGS, "embedding of a classifier", {"input": "x"}),
    _row("classifying", "/score", "score of a classifier", SCORED),
    _row("classifying", "/invocations", "invocation of a classifier", {"input": "x"}),
    _row("classifying", "/tokenize", "tokenize", {"prompt": "the sea"}),
)

TABLE: tuple[Exchange, ...] = (
    *INSTRUMENTS,
    *_chats("plain", CHAT_BOTH),
    *_chats("plain", CHAT_WHOLE),
    *_chats("plain", _streamed(CHAT_BOTH | CHAT_STREAMED)),
    *_completions("plain", COMPLETION_BOTH),
    *_completions("plain", COMPLETION_WHOLE),
    *_completions("plain", _streamed(COMPLETION_BOTH | COMPLETION_STREAMED)),
    *POOLED,
    *_embeddings(EMBEDDING),
    *CLASSIFYING,
    *RICH,
    *_chats("rich", RICH_BOTH),
    *_chats("rich", _streamed({**RICH_BOTH, "usage": USAGE, "running usage": RUNNING_USAGE})),
    *_responses("plain", RESPONSE),
    *_responses("plain", _streamed(RESPONSE)),
    *_responses("rich", {"bare": {}, "background": {"background": True}}),
    *_responses("rich", _streamed({"bare": {}})),
    *_messages("plain", MESSAGE),
    *_messages("plain", _streamed(MESSAGE)),
    *_messages("rich", {"reasoning": {}}),
    *_messages("rich", _streamed({"reasoning": {}})),
)
