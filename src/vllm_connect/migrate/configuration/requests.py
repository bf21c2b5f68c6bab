"""Requests to OpenAI that are written out: curl and its like in scripts, images, workflows and documents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from vllm_connect.migrate.configuration.entry import lines
from vllm_connect.migrate.configuration.shell import code_of
from vllm_connect.migrate.finding import Severity
from vllm_connect.migrate.rule import Rule

__all__ = ["REQUEST", "Request", "written_requests"]

REQUEST = Rule(
    "written-request",
    "A request to OpenAI that is written out",
    Severity.BREAKS,
    "it goes to OpenAI, with OpenAI's key",
    "Write your server's address in its place, and the key of that server where it asks for one.",
)
URL = re.compile(r"https?://(?:api\.openai\.com|[\w-]+\.openai\.azure\.com)/[\w/.{}$-]*\w", re.IGNORECASE)
CLIENT = re.compile(r"\b(?:curl|wget|https?(?:ie)?|xh|Invoke-(?:RestMethod|WebRequest))\b")
WITH_KEY = re.compile(r"(?:Bearer[ ]+|api-key:[ ]*)\\?\$\{?(?:env:)?(?:AZURE_)?OPENAI_(?:API_)?KEY\b")
# The bare address is a setting, and judged as one.
BARE = re.compile(r"https?://[^/]+/(?:v1/?)?", re.IGNORECASE)


class Request(NamedTuple):
    """A place in a text, and what is said of it, empty for what the rule says."""

    at: int
    message: str = ""


def written_requests(text: str) -> Iterator[Request]:
    """Yield the requests of a script; what is commented out is passed over."""
    is_open, has_url, has_client = False, False, False
    for line in lines(text):
        start, end = code_of(text, line)
        if not is_open:
            has_url = has_client = False
        has_client = has_client or CLIENT.search(text, start, end) is not None
        for url in URL.finditer(text, start, end):
            if not BARE.fullmatch(url[0]):
                has_url = True
                yield Request(url.start())
        key = WITH_KEY.search(text, start, end)
        if key is not None and has_client and not has_url:
            yield Request(key.start(), "OpenAI's key goes along with this request, wherever it goes")
        is_open = text[start:end].rstrip().endswith(("\\", "`"))
