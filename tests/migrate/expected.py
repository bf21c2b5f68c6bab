"""What arrives at the server when the programs of `programs/` have been migrated and are run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["PROGRAMS", "Program", "Request"]

CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
RESPONSES = "/v1/responses"
MESSAGES = [{"role": "user", "content": "Say hello."}]


@dataclass(frozen=True)
class Request:
    """A request: its path, what its body has among others, and names that it must not have."""

    path: str
    has: dict[str, Any]
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Program:
    """A program by its file's name, and its requests in order; `says` is on its output."""

    name: str
    requests: tuple[Request, ...]
    kind: Literal["generate", "pooling"] = "generate"
    says: str = ""


PROGRAMS = (
    Program("one_client", (Request(CHAT, {"model": "qwen", "messages": MESSAGES, "temperature": 0}),)),
    Program(
        "azure",
        (Request(CHAT, {"model": "qwen"}), Request(CHAT, {"model": "qwen", "stream": True})),
    ),
    Program(
        "guided",
        (
            Request(
                CHAT,
                {"structured_outputs": {"choice": ["yes", "no"]}, "top_k": 5},
                lacks=("guided_choice", "guided_decoding_backend", "metadata"),
            ),
        ),
    ),
    Program(
        "functions",
        (Request(CHAT, {"tool_choice": "auto"}, lacks=("functions", "function_call")),),
    ),
    Program(
        "legacy",
        (
            Request(COMPLETIONS, {"model": "qwen", "max_tokens": 4}, lacks=("engine",)),
            Request(CHAT, {"model": "qwen", "messages": MESSAGES}, lacks=("request_timeout",)),
        ),
    ),
    Program("legacy_azure", (Request(CHAT, {"model": "qwen", "n": 1}, lacks=("deployment_id",)),)),
    Program("module_client", (Request(CHAT, {"model": "qwen", "messages": MESSAGES}),)),
    Program(
        "several_modules",
        (
            Request(
                CHAT,
                {
                    "structured_outputs": {
                        "json": {"type": "object", "properties": {"name": {"type": "string"}}}
                    }
                },
                lacks=("guided_json",),
            ),
        ),
    ),
    Program(
        "command_line",
        (Request(CHAT, {"model": "qwen", "max_tokens": 8, "stream": True}, lacks=("service_tier",)),),
        says="tokens:",
    ),
    Program(
        "many_at_once",
        tuple(
            Request(
                COMPLETIONS,
                {"prompt": text, "structured_outputs": {"regex": r"\w+"}},
                lacks=("guided_regex",),
            )
            for text in "ab"
        ),
    ),
    Program(
        "raw_response", (Request(CHAT, {"model": "qwen", "temperature": 0}, lacks=("prompt_cache_key",)),)
    ),
    Program("tool_loop", (Request(CHAT, {"tool_choice": "required"}), Request(CHAT, {"model": "qwen"}))),
    Program("parsed", (Request(CHAT, {"model": "qwen"}, lacks=("metadata",)),)),
    Program(
        "responses_api",
        (Request(RESPONSES, {"max_output_tokens": 16}, lacks=("max_completion_tokens", "prompt_cache_key")),),
    ),
    Program("http_client", (Request(COMPLETIONS, {"prompt": "Once", "max_tokens": 2}),)),
    Program("embedding", (Request(EMBEDDINGS, {"model": "bge", "input": ["a", "b"]}),), kind="pooling"),
    Program(
        "legacy_chat",
        (
            Request(CHAT, {"model": "qwen", "temperature": 0.7}, lacks=("engine",)),
            Request(CHAT, {"model": "qwen", "max_tokens": 16}),
        ),
    ),
    Program(
        "legacy_stream",
        (
            Request(CHAT, {"model": "qwen", "stream": True}, lacks=("request_timeout", "timeout")),
            Request(COMPLETIONS, {"model": "qwen", "stream": True, "prompt": "Once"}, lacks=("engine",)),
            Request(CHAT, {"model": "qwen", "stream": True}),
        ),
    ),
    Program(
        "legacy_embedding", (Request(EMBEDDINGS, {"model": "bge", "input": ["a", "b", "c"]}),), kind="pooling"
    ),
    Program(
        "legacy_errors",
        (Request(COMPLETIONS, {"model": "qwen"}), Request(COMPLETIONS, {"model": "text-davinci-003"})),
        says="refused 404 True True",
    ),
    Program(
        "legacy_async",
        (Request(CHAT, {"model": "qwen"}), Request(CHAT, {"model": "qwen-small", "stream": True})),
    ),
    Program(
        "legacy_engine",
        (Request(CHAT, {"model": "qwen"}, lacks=("engine", "headers", "api_version")),),
        says='{"id": "chatcmpl',
    ),
    Program(
        "legacy_settings",
        (Request(COMPLETIONS, {"model": "qwen", "prompt": ["a", "b"]}, lacks=("api_base",)),),
    ),
    Program(
        "legacy_function",
        (
            Request(CHAT, {"model": "qwen"}),
            Request(CHAT, {"model": "qwen", "temperature": 0}, lacks=("engine",)),
        ),
    ),
    Program(
        "model_names",
        (
            Request(CHAT, {"model": "qwen", "messages": [{"role": "user", "content": "Are you gpt-4o?"}]}),
            Request(CHAT, {"model": "qwen-small"}),
            Request(CHAT, {"model": "qwen-small"}),
            Request(COMPLETIONS, {"model": "qwen"}),
        ),
    ),
    Program(
        "token_counts",
        (
            Request("/tokenize", {"prompt": "one two three four five six", "add_special_tokens": False}),
            Request("/detokenize", {}),
            Request("/tokenize", {"model": "qwen-small"}),
            Request(COMPLETIONS, {"model": "qwen"}),
        ),
        says="3",
    ),
)
