"""The openai package before 1.0, checked against 0.28.1: its calls, its settings, its errors, and what each became."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from vllm_connect.migrate.project import Trails

__all__ = ["CALLS", "ERRORS", "GONE", "RESOURCES", "LegacyCall", "legacy_call", "legacy_error"]


class LegacyCall(NamedTuple):
    """A method of before 1.0: its path on a client of today, and whether it is awaited."""

    path: str
    is_async: bool


_METHODS = {
    "ChatCompletion.create": "chat.completions.create",
    "Completion.create": "completions.create",
    "Embedding.create": "embeddings.create",
    "Model.list": "models.list",
    "Model.retrieve": "models.retrieve",
    "Audio.transcribe": "audio.transcriptions.create",
    "Audio.translate": "audio.translations.create",
}
CALLS: Mapping[str, LegacyCall] = {
    f"openai.{name.replace('.', '.a') if is_async else name}": LegacyCall(path, is_async)
    for name, path in _METHODS.items()
    for is_async in (False, True)
}
# What 0.x had at its top; nothing of it is there today.
RESOURCES = frozenset(
    {
        "Audio",
        "ChatCompletion",
        "Completion",
        "Customer",
        "Deployment",
        "Edit",
        "Embedding",
        "Engine",
        "ErrorObject",
        "File",
        "FineTune",
        "FineTuningJob",
        "Image",
        "Model",
        "Moderation",
    }
)
# Modules that are gone, and what to write.
GONE: Mapping[str, str] = {
    "embeddings_utils": "Ask client.embeddings.create() for the vectors, and compute the similarity with numpy.",
    "openai_object": "Results are the types of openai.types.",
    "util": "Write what is needed of it yourself.",
    "api_requestor": "Use client.post() and its like.",
    "datalib": "Import numpy and pandas themselves.",
    "openai_response": "Use client.with_raw_response.",
    "wandb_logger": "vLLM has no fine-tuning.",
}
# Each error class, and those that mean the same. 0.x raised InvalidRequestError for 400, 404 and 415.
ERRORS: Mapping[str, tuple[str, ...]] = {
    "OpenAIError": ("OpenAIError",),
    "APIError": ("APIError",),
    "APIConnectionError": ("APIConnectionError",),
    "AuthenticationError": ("AuthenticationError",),
    "InvalidRequestError": ("BadRequestError", "NotFoundError"),
    "PermissionError": ("PermissionDeniedError",),
    "RateLimitError": ("RateLimitError",),
    "ServiceUnavailableError": ("InternalServerError",),
    "Timeout": ("APITimeoutError",),
    "TryAgain": ("ConflictError",),
}
_INNER = re.compile(r"^openai\.api_resources\.(?:[a-z_]+\.)*(?=[A-Z])")


def legacy_call(trails: Trails) -> LegacyCall | None:
    """Return the method that trails lead to, None where they lead to none, or to several things."""
    found = {CALLS.get(_INNER.sub("openai.", one)) for one in trails}
    return found.pop() if len(found) == 1 else None


def legacy_error(trails: Trails) -> str | None:
    """Return the error class of before 1.0 that trails lead to, None where they lead elsewhere."""
    if trails == {"openai.InvalidRequestError"}:
        return "InvalidRequestError"
    names = {one.removeprefix("openai.error.") for one in trails if one.startswith("openai.error.")}
    return names.pop() if len(names) == len(trails) == 1 else None
