"""The errors of a vLLM server: their texts as a table, and how a body is made of one."""

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from vllm_connect.simulator.exchange import Headers, Response, json_response


class Refused(Exception):
    """Ends the handling of a request with this answer."""

    def __init__(self, answer: Response, message: str = "") -> None:
        super().__init__(message)
        self.answer = answer


# vLLM takes paths out of its error texts, so a file-like model name never shows.
_PATHS = (
    re.compile(r"/(?:home|usr|opt|var|tmp|root|lib|mnt|srv)(?:/[\w.\-]+)+"),
    re.compile(r"(?:/[\w\-]+)+/[\w\-]+\.\w+"),
)


def error_body(message: str, kind: str, status: int, param: str | None = None) -> dict[str, Any]:
    """The body of a handler's error."""
    for path in _PATHS:
        message = path.sub("<path>", message)
    return {"error": {"message": message.strip(), "type": kind, "param": param, "code": status}}


def flat(answer: Response) -> Response:
    """A handler's error in the shape it had before its fields were nested."""
    body = json.loads(answer.body)
    if not isinstance(body.get("error"), dict):
        return answer
    return json_response({"object": "error", **body["error"]}, status=answer.status)


@dataclass(frozen=True)
class Refusal:
    """One way to refuse: `parameter` is shown behind the text and in `param`, as VLLMValidationError does."""

    text: str
    parameter: str | None = None
    status: int = 400
    kind: str = "BadRequestError"
    param: str | None = None
    """`param` where the text does not show it."""


def refuse(refusal: Refusal, *, value: Any = None, **names: Any) -> Refused:
    """Make the exception to raise, the text filled in."""
    message = refusal.text.format(**names) if names else refusal.text
    shown = [f"parameter={refusal.parameter}"] if refusal.parameter else []
    shown += [f"value={value}"] if value is not None else []
    message = f"{message} ({', '.join(shown)})" if shown else message
    body = error_body(message, refusal.kind, refusal.status, refusal.parameter or refusal.param)
    return Refused(json_response(body, status=refusal.status), message)


UNAUTHORIZED: Final = {"error": "Unauthorized"}

NO_MODEL: Final = Refusal(
    "The model `{model}` does not exist. Valid aliases: {aliases}.", None, 404, "NotFoundError", "model"
)
NO_MODEL_NAMED: Final = Refusal("The model `{model}` does not exist.", None, 404, "NotFoundError", "model")
NO_POOLING_MODEL: Final = Refusal("The model `{model}` does not exist.", None, 404, "NotFoundError")
BUSY: Final = Refusal(
    "The engine is currently busy and cannot accept new requests."
    " Please try again later or on a different instance.",
    None,
    503,
    "Service Unavailable",
)
TOO_MANY_TOKENS: Final = (
    "{parameter}={tokens} cannot be greater than max_model_len={limit}. Please request fewer output tokens."
)
PROMPT_TOO_LONG: Final = Refusal(
    "This model's maximum context length is {context} tokens. However, your prompt contains {count} input tokens,"
    " which exceeds this limit even without any output tokens. Please reduce the length of the input prompt.",
    "input_tokens",
)
TEXT_TOO_LONG: Final = Refusal(
    "This model's maximum context length is {context} tokens. However, your prompt contains {count} characters"
    " (more than {most} characters, which is the upper bound for {limit} input tokens)."
    " Please reduce the length of the input prompt.",
    "input_text",
)
# Where the output is not clamped. The wording changed with many releases; this is the last one's.
_TOO_LONG_TOGETHER = (
    "This model's maximum context length is {context} tokens. However, you requested {output} output tokens"
    " and your prompt contains "
)
_REDUCE_EITHER = " Please reduce the length of the input prompt or the number of requested output tokens."
PROMPT_AND_OUTPUT_TOO_LONG: Final = Refusal(
    _TOO_LONG_TOGETHER + "{count} input tokens, for a total of {total} tokens." + _REDUCE_EITHER,
    "input_tokens",
)
TEXT_AND_OUTPUT_TOO_LONG: Final = Refusal(
    _TOO_LONG_TOGETHER
    + "{count} characters (more than {most} characters, which is the upper bound for {limit} input tokens)."
    + _REDUCE_EITHER,
    "input_text",
)
NO_PROMPT: Final = Refusal("You must pass at least one prompt")
NO_DIMENSIONS: Final = Refusal(
    "Model {model!r} does not support Matryoshka embeddings; dimensions must be unset"
    " (received dimensions={dimensions})."
)


def detail(status: HTTPStatus, headers: Headers = ()) -> Response:
    """The framework's own error, which has another shape."""
    return json_response({"detail": status.phrase}, status=status, headers=headers)
