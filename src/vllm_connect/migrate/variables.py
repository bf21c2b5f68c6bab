"""Environment variables as code reads them, and what of OpenAI's a value may be."""

from __future__ import annotations

import re
from typing import NamedTuple

import libcst as cst

from vllm_connect.migrate.bindings import Bindings
from vllm_connect.migrate.trails import text_of

__all__ = ["Variable", "is_address_of_openai", "is_key_of_openai", "is_placeholder", "variable"]

HOSTS = re.compile(
    r"(?:^|//|[.@])(?:[\w-]+\.)?(?:api\.openai\.com|openai\.azure\.com|cognitiveservices\.azure\.com"
    r"|services\.ai\.azure\.com)(?=[:/?#]|$)",
    re.IGNORECASE,
)
PLATFORM_KEY = re.compile(r"sk-(?:proj|svcacct|admin)-|T3BlbkFJ|^sk-[A-Za-z0-9]{20,}$")
# What stands where there is no key, as vLLM's own documentation and others have it.
PLACEHOLDERS = re.compile(
    r"|empty|none|null|dummy|fake|fake-api-key|not-needed|no-key|no-key-required|ignored|x+|token-abc123|vllm|local"
    r"|sk-(?:x+|no-key-required|dummy|fake|1234|\.\.\.)|test|key|api[-_]key|placeholder",
    re.IGNORECASE,
)


class Variable(NamedTuple):
    """A variable that is read; `is_required` where it is an error that it is not set, `default` as it is written."""

    name: str
    is_required: bool
    default: cst.BaseExpression | None


def variable(node: cst.BaseExpression, bindings: Bindings) -> Variable | None:
    """Return the variable that an expression reads, None where it reads none."""
    match node:
        case cst.Subscript(value=value, slice=[cst.SubscriptElement(slice=cst.Index(value=index))]):
            name = text_of(index)
            if name is not None and bindings.trails(value) == {"os.environ"}:
                return Variable(name, is_required=True, default=None)
        case cst.Call(func=function, args=[cst.Arg(value=first, keyword=None), *more]):
            name = text_of(first)
            if name is not None and bindings.trails(function) in ({"os.getenv"}, {"os.environ.get"}):
                default = more[0].value if more else None
                is_none = isinstance(default, cst.Name) and default.value == "None"
                return Variable(name, is_required=False, default=None if is_none else default)
    return None


def is_address_of_openai(node: cst.BaseExpression) -> bool:
    """Whether a literal is an address of OpenAI's or of Azure's OpenAI."""
    if isinstance(node, cst.FormattedString):
        written = "".join(
            part.value if isinstance(part, cst.FormattedStringText) else "x" for part in node.parts
        )
        return HOSTS.search(written) is not None
    text = text_of(node)
    return text is not None and HOSTS.search(text) is not None


def is_key_of_openai(text: str) -> bool:
    """Whether a text is a key of the OpenAI platform."""
    return PLATFORM_KEY.search(text) is not None


def is_placeholder(text: str) -> bool:
    """Whether a text stands where there is no key."""
    return PLACEHOLDERS.fullmatch(text.strip()) is not None
