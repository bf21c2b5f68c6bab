"""The official OpenAI client, set up right for your vLLM servers: `from vllm_connect import OpenAI`.

Names are loaded when first used: importing this costs nothing, and `from vllm_connect import OpenAI` little
more than `import openai`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vllm_connect import answers
    from vllm_connect.client import AsyncOpenAI, OpenAI
    from vllm_connect.endpoint import Tls
    from vllm_connect.errors import (
        AnswerIncomplete,
        AnswerMalformed,
        AnswerTooLarge,
        DeadlineExceeded,
        EndpointError,
        InvalidAnswer,
        KeyRefused,
        KeyRejected,
        ModelNotChosen,
        NotReady,
        ParameterRefused,
        Partial,
        RedirectRefused,
        ServerUnreachable,
        SettingsError,
        SettingsWarning,
    )
    from vllm_connect.settings import Limits, Settings, Timeouts

__version__ = "0.1.0"

_HOMES = {
    "client": ("AsyncOpenAI", "OpenAI"),
    "endpoint": ("Tls",),
    "errors": (
        "AnswerIncomplete",
        "AnswerMalformed",
        "AnswerTooLarge",
        "DeadlineExceeded",
        "EndpointError",
        "InvalidAnswer",
        "KeyRefused",
        "KeyRejected",
        "ModelNotChosen",
        "NotReady",
        "ParameterRefused",
        "Partial",
        "RedirectRefused",
        "ServerUnreachable",
        "SettingsError",
        "SettingsWarning",
    ),
    "settings": ("Limits", "Settings", "Timeouts"),
}

__all__ = [  # the names above, by the module they live in
    "AnswerIncomplete",
    "AnswerMalformed",
    "AnswerTooLarge",
    "AsyncOpenAI",
    "DeadlineExceeded",
    "EndpointError",
    "InvalidAnswer",
    "KeyRefused",
    "KeyRejected",
    "Limits",
    "ModelNotChosen",
    "NotReady",
    "OpenAI",
    "ParameterRefused",
    "Partial",
    "RedirectRefused",
    "ServerUnreachable",
    "Settings",
    "SettingsError",
    "SettingsWarning",
    "Timeouts",
    "Tls",
    "answers",
]


def __getattr__(name: str) -> Any:
    if name == "answers":
        return importlib.import_module(f"{__name__}.answers")
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
