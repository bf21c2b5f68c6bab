"""What the constructor of a client takes: which arguments are settings, which are refused, what a key may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import openai

from vllm_connect.endpoint import Hidden, Key
from vllm_connect.settings import CallableKey, GivenKey, KeySource

__all__ = ["PLATFORM_ARGUMENTS", "SETTINGS", "is_account_of_openai", "key_source", "refuse_unknown_arguments"]

# The constructor's arguments that are settings, which files and variables can give too.
SETTINGS = frozenset(
    {
        "api_key",
        "base_url",
        "profile",
        "model",
        "model_aliases",
        "timeouts",
        "tls",
        "limits",
        "long_calls",
        "resume",
        "hedge",
        "wire",
        "parameters",
        "fit",
        "system_roles",
        "allow_insecure_key",
        "use_openai_api_key",
    }
)
# Arguments of the SDK's constructor that belong to the OpenAI platform and have no meaning towards vLLM.
PLATFORM_ARGUMENTS = frozenset({"admin_api_key", "workload_identity", "provider", "data_residency"})


def is_account_of_openai(source: KeySource | None) -> bool:
    """Whether a key came from OPENAI_API_KEY and opens an account of the OpenAI platform."""
    return (
        isinstance(source, GivenKey)
        and source.place == "OPENAI_API_KEY"
        and source.key.is_openai_platform_key
    )


def key_source(given: Hidden) -> KeySource | None:
    """Return the source of a key given by argument: a text, a function, or a source already.

    The text is never a local variable here: its check may raise.
    """
    place = "argument `api_key`"
    if isinstance(given.value, str):
        return GivenKey(Key(given.value, source=place), place) if given.value.strip() else None
    if given.value is None or hasattr(given.value, "load"):
        return cast("KeySource | None", given.value)
    if callable(given.value):
        return CallableKey(given.value)
    raise TypeError(
        f"`api_key` takes a str or a function that returns one, not {type(given.value).__name__}."
    )


def refuse_unknown_arguments(given: Mapping[str, Any], known: set[str]) -> None:
    """Refuse arguments that the constructor does not have; those of the platform with what to use instead.

    The SDK's own `copy` hands on its platform arguments as None, and private ones.
    """
    for name, value in given.items():
        if value is None or isinstance(value, openai.NotGiven) or name.startswith("_"):
            continue
        if name in PLATFORM_ARGUMENTS:
            raise TypeError(f"`{name}` belongs to the OpenAI platform; for that use openai.OpenAI itself.")
        import difflib  # noqa: PLC0415 - for a mistyped name only

        close = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean `{close[0]}`?" if close else ""
        raise TypeError(f"OpenAI() has no argument `{name}`.{hint}")
