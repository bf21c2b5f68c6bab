"""Rules over whole request bodies that vLLM checks before it looks at single fields."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from vllm_connect.simulator.requests.refusals import NO_PROMPT, Refusal, refuse
from vllm_connect.simulator.versions import is_since

Body = Mapping[str, Any]


class Rule(NamedTuple):
    """A way for a body to be wrong, and what is said then."""

    is_broken: Callable[[Body], object]
    refusal: Refusal
    shown: str | None = None
    """The parameter whose value the text shows."""
    since: str = ""
    """The first release seen to have it."""


def _not_a_number(name: str) -> Rule:
    return Rule(
        lambda body: body.get(name) is not None and not isinstance(body[name], int | float),
        Refusal(f"`{name}` must be an integer.", name),
        name,
    )


def _below(name: str) -> Rule:
    return Rule(
        lambda body: body.get(name) is not None and body[name] < 0 and body[name] != -1,
        Refusal(f"`{name}` must be a positive value or -1.", name),
        name,
    )


def _constraints(body: Body, names: tuple[str, ...]) -> int:
    given = body.get("structured_outputs")
    return sum(given.get(name) is not None for name in names) if isinstance(given, dict) else 0


def _schema_is_missing(body: Body) -> bool:
    wanted = body.get("response_format")
    return isinstance(wanted, dict) and wanted.get("type") == "json_schema" and not wanted.get("json_schema")


def _unknown_choice(body: Body) -> bool:
    choice = body.get("tool_choice")
    return choice is not None and choice not in ("none", "auto", "required") and not isinstance(choice, dict)


def _unmatched_choice(body: Body) -> bool:
    choice = body.get("tool_choice")
    if not isinstance(choice, dict):
        return False
    wanted = (choice.get("function") or {}).get("name")
    return all((tool.get("function") or {}).get("name") != wanted for tool in body.get("tools") or ())


_STREAM_OPTIONS = Rule(
    lambda body: body.get("stream_options") and not body.get("stream"),
    Refusal("Stream options can only be defined when `stream=True`.", "stream_options"),
)
_PROMPT_LOGPROBS = (
    _not_a_number("prompt_logprobs"),
    Rule(
        lambda body: body.get("stream") and (body.get("prompt_logprobs") or 0) != 0,
        Refusal("`prompt_logprobs` are not available when `stream=True`.", "prompt_logprobs"),
    ),
    _below("prompt_logprobs"),
)
_ONE_CONSTRAINT = (
    "You can only use one kind of constraints for structured outputs ('json', 'regex' or 'choice')."
)
_NO_SCHEMA = Rule(
    _schema_is_missing,
    Refusal(
        "When response_format type is 'json_schema', the 'json_schema' field must be provided.",
        "response_format",
    ),
)
CACHE_SALT: Final = (
    Rule(
        lambda body: body.get("cache_salt") == "",
        Refusal("Parameter 'cache_salt' must be a non-empty string if provided.", "cache_salt"),
    ),
    Rule(
        lambda body: (
            len(str(body.get("cache_salt"))) > _MAX_SALT or set(str(body.get("cache_salt"))) & set("@/\\\0")
        ),
        Refusal(
            "Parameter 'cache_salt' must be at most 128 characters and must not contain '@', '/', '\\\\', or NUL.",
            "cache_salt",
        ),
    ),
)
_MAX_SALT = 128


def _untrusted(name: str, what: str) -> Rule:
    return Rule(
        lambda body: body.get(name),
        Refusal(
            f"Per-request {name} are disabled by default because they can change multimodal {what} resource usage."
            " Start the server with --trust-request-mm-kwargs only when clients are trusted.",
            name,
        ),
        since="0.31.0",
    )


_NOT_TRUSTED = (
    Rule(
        lambda body: body.get("chat_template"),
        Refusal(
            "Chat template is passed with request, but --trust-request-chat-template is not set."
            " Refused request with untrusted chat template."
        ),
    ),
    *(
        _untrusted(name, what)
        for name, what in (("mm_processor_kwargs", "preprocessing"), ("media_io_kwargs", "media loading"))
    ),
)
_BOTH_ENDS = Rule(
    lambda body: body.get("continue_final_message") and body.get("add_generation_prompt"),
    Refusal("Cannot set both `continue_final_message` and `add_generation_prompt` to True."),
)

CHAT: Final = (
    Rule(
        lambda body: "messages" in body and body["messages"] is None,
        Refusal("'NoneType' object is not iterable"),
    ),
    _BOTH_ENDS,
    Rule(
        lambda body: body.get("tools") == [],
        Refusal(
            "`tools` must not be an empty array. Either provide at least one tool or omit the field entirely.",
            "tools",
        ),
        since="0.20.0",
    ),
    Rule(
        lambda body: body.get("tool_choice") not in (None, "none") and body.get("tools") is None,
        Refusal("When using `tool_choice`, `tools` must be set.", "tool_choice"),
    ),
    Rule(
        _unknown_choice,
        Refusal(
            "Invalid value for `tool_choice`: {tool_choice}! Only named tools,"
            ' "none", "auto" or "required" are supported.',
            "tool_choice",
        ),
    ),
    Rule(
        lambda body: isinstance(body.get("tool_choice"), dict) and not body["tool_choice"].get("function"),
        Refusal(
            "Invalid value for `function`: `None` in `tool_choice`! Correct usage:"
            ' `{{"type": "function", "function": {{"name": "my_function"}}}}`',
            "tool_choice.function",
        ),
    ),
    Rule(
        _unmatched_choice,
        Refusal(
            "The tool specified in `tool_choice` does not match any of the specified `tools`", "tool_choice"
        ),
    ),
    Rule(lambda body: _constraints(body, ("json", "regex", "choice")) > 1, Refusal(_ONE_CONSTRAINT)),
    Rule(
        lambda body: body.get("logprob_token_ids") and not body.get("logprobs"),
        Refusal("when using `logprob_token_ids`, `logprobs` must be set to true.", "logprob_token_ids"),
    ),
    *_PROMPT_LOGPROBS,
    _not_a_number("top_logprobs"),
    _below("top_logprobs"),
    Rule(
        lambda body: body.get("top_logprobs") and not body.get("logprobs"),
        Refusal("when using `top_logprobs`, `logprobs` must be set to true.", "top_logprobs"),
    ),
    _NO_SCHEMA,
    _STREAM_OPTIONS,
    *CACHE_SALT,
    *_NOT_TRUSTED,
)


def _names_no_tool(body: Body) -> bool:
    choice = body.get("tool_choice")
    if not isinstance(choice, dict) or choice.get("type") not in ("function", "custom"):
        return False
    tools = body.get("tools") or ()
    return all(isinstance(tool, dict) and tool.get("name") != choice.get("name") for tool in tools)


RESPONSE: Final = (
    Rule(
        lambda body: not body.get("tools") and body.get("tool_choice") == "required",
        Refusal("Tool choice 'required' must be specified with 'tools' parameter.", "tool_choice"),
    ),
    Rule(_names_no_tool, Refusal("Tool choice 'function' not found in 'tools' parameter.", "tool_choice")),
    Rule(
        lambda body: body.get("prompt") is not None,
        Refusal("prompt template is not supported", "prompt"),
    ),
    Rule(
        lambda body: body.get("background") and not body.get("store", True),
        Refusal("background can only be used when `store` is true", "background"),
    ),
    *CACHE_SALT,
    *_NOT_TRUSTED[1:],
)

BATCH: Final = (
    _BOTH_ENDS,
    *_PROMPT_LOGPROBS,
    *CACHE_SALT,
    *_NOT_TRUSTED,
    Rule(
        lambda body: (body.get("n") or 1) != 1,
        Refusal("Batch chat completions do not support `n > 1`. Please set `n` to 1.", "n"),
        "n",
    ),
    Rule(
        lambda body: body.get("use_beam_search"),
        Refusal(
            "Batch chat completions do not support beam search. Please set `use_beam_search` to False.",
            "use_beam_search",
        ),
    ),
)

COMPLETION: Final = (
    Rule(
        lambda body: body.get("prompt") in (None, "") and not body.get("prompt_embeds"),
        Refusal("Either prompt or prompt_embeds must be provided and non-empty.", "prompt"),
    ),
    Rule(
        lambda body: (
            isinstance(body.get("prompt"), list)
            and len(body["prompt"]) > _MAX_PROMPTS
            and not all(type(item) is int for item in body["prompt"])
        ),
        Refusal(
            "prompt list length {prompt_length} exceeds the maximum allowed count of 1024. To increase this limit,"
            " set the VLLM_MAX_COMPLETION_PROMPTS environment variable.",
            "prompt",
        ),
    ),
    _STREAM_OPTIONS,
    *_PROMPT_LOGPROBS,
    _not_a_number("logprobs"),
    _below("logprobs"),
    Rule(
        lambda body: _constraints(body, ("json", "regex", "choice")) > 1,
        Refusal(_ONE_CONSTRAINT, "structured_outputs"),
    ),
    _NO_SCHEMA,
    *CACHE_SALT,
    Rule(
        lambda body: body.get("stream") and body.get("use_beam_search"),
        Refusal("Streaming is not currently supported with beam search"),
    ),
    Rule(
        lambda body: body.get("suffix"),
        Refusal("suffix is only supported for models with FIM completion rendering", param="suffix"),
    ),
    Rule(
        lambda body: body.get("prompt_embeds"),
        Refusal("You must set `--enable-prompt-embeds` to input `prompt_embeds`.", "prompt_embeds"),
    ),
    Rule(lambda body: body.get("prompt") == [], NO_PROMPT),
)
_MAX_PROMPTS = 1024

_REMOVED_TASKS: Final = {
    "score": "`score` task was removed; use `classify` instead.",
    "encode": "`encode` task was removed; use `token_embed` or `token_classify` instead.",
}

POOLING: Final = (
    Rule(
        lambda body: "normalize" in body,
        Refusal("Parameter `normalize` was removed; use `use_activation` instead.", "normalize"),
        since="0.26.0",
    ),
    _BOTH_ENDS,
    *CACHE_SALT,
    Rule(lambda body: body.get("input") == [], NO_PROMPT),
)


def _removed_task(name: str, text: str) -> Rule:
    return Rule(lambda body: body.get("task") == name, Refusal(text, "task"))


POOLING_TASK: Final = (*(_removed_task(*removed) for removed in _REMOVED_TASKS.items()), *POOLING)

TOKENIZE: Final = (_BOTH_ENDS, *_NOT_TRUSTED)


def check(body: Body, rules: tuple[Rule, ...], version: str) -> None:
    """Refuse a body by the first rule of this release that it breaks."""
    for rule in rules:
        if is_since(version, rule.since) and rule.is_broken(body):
            value = body.get(rule.shown) if rule.shown else None
            prompt = body.get("prompt")
            raise refuse(
                rule.refusal,
                value=value,
                tool_choice=body.get("tool_choice"),
                prompt_length=len(prompt) if isinstance(prompt, list) else 0,
            )
