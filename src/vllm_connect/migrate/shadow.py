"""A shadow run: recorded requests go to the server they were for and to the new one, and the answers are compared.

Each side's key comes from the settings or variables that name its own address, and goes nowhere else.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import Any

import openai

from vllm_connect.client import OpenAI
from vllm_connect.endpoint import Endpoint, parse_endpoint
from vllm_connect.migrate.comparison import Answer, Compared, compared
from vllm_connect.migrate.recording import Broken, Recorded
from vllm_connect.settings import KeySource, Settings

__all__ = ["Shadow", "key_for", "shadowed"]

OPENAI_ADDRESS = "https://api.openai.com/v1"
# Variables whose address and key belong together.
FAMILIES = (
    ("VLLM_BASE_URL", "VLLM_API_BASE", "VLLM_API_KEY"),
    ("HOSTED_VLLM_API_BASE", "HOSTED_VLLM_API_KEY"),
    ("OPENAI_BASE_URL", "OPENAI_API_KEY"),
)
# Those that say which files and profiles of settings are read.
OF_FILES = ("VLLMCONNECT_CONFIG", "VLLMCONNECT_PROFILE", "VLLMCONNECT_API_KEY_FILE")
# What stands in the place of a key, so that none is looked for elsewhere.
NO_KEY = "EMPTY"
NO_KEY_FOUND = (
    "it wants a key, and no settings give one for this address: set VLLM_BASE_URL and VLLM_API_KEY together, "
    "or OPENAI_BASE_URL and OPENAI_API_KEY"
)


@dataclass(frozen=True)
class Shadow:
    """Where the recorded requests went, where they are to go, with which names of models, and how many at once."""

    old: str
    new: str
    models: Mapping[str, str]
    concurrency: int = 4
    seconds: float = 120.0


@dataclass(frozen=True)
class _Side:
    """One server, and whether there is a key for it."""

    client: OpenAI
    has_key: bool

    def answer(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Send one request, and return what came of it."""
        began = time.monotonic()
        try:
            content = self.client.post(path, cast_to=object, body=dict(body))
        except openai.APIStatusError as error:
            return Answer(error.status_code, time.monotonic() - began, error=self._told(error))
        except openai.OpenAIError as error:
            return Answer(None, time.monotonic() - began, error=self._told(error))
        return Answer(200, time.monotonic() - began, content)

    def _told(self, error: openai.OpenAIError) -> str:
        if isinstance(error, openai.AuthenticationError) and not self.has_key:
            return NO_KEY_FOUND
        return getattr(error, "explanation", "") or str(error)


def shadowed(
    requests: Iterable[Recorded | Broken], shadow: Shadow, environ: Mapping[str, str] = os.environ
) -> Iterator[Compared | Broken]:
    """Yield what came of each request, in their order; raises SettingsError before anything is sent."""
    with ExitStack() as opened:
        old = _side(shadow.old, shadow, environ, opened, parameters="off")
        new = _side(shadow.new, shadow, environ, opened)
        pool = opened.enter_context(ThreadPoolExecutor(shadow.concurrency))

        def begun(one: Recorded | Broken) -> Future[Compared | Broken]:
            return pool.submit(_both, one, old, new, shadow.models)

        yield from _in_order(map(begun, requests), shadow.concurrency * 2)


def _in_order(futures: Iterator[Future[Compared | Broken]], most: int) -> Iterator[Compared | Broken]:
    """Yield the results of tasks in the order of their start, no more than so many of them under way."""
    waiting = deque(islice(futures, most))
    while waiting:
        yield waiting.popleft().result()
        waiting.extend(islice(futures, 1))


def _side(url: str, shadow: Shadow, environ: Mapping[str, str], opened: ExitStack, **options: Any) -> _Side:
    """Return a server: the old one is asked as it was (`parameters="off"`), the new one as vllm_connect asks it."""
    key: Any = key_for(url, environ)
    given = NO_KEY if key is None else key
    client = OpenAI(base_url=url, api_key=given, timeout=shadow.seconds, long_calls="plain", **options)
    return _Side(opened.enter_context(client), key is not None)


def key_for(url: str, environ: Mapping[str, str]) -> KeySource | None:
    """Return the key that settings or variables give for this very server, None where none of them names it."""
    endpoint = parse_endpoint(url)
    of_files = {name: environ[name] for name in OF_FILES if name in environ}
    for names in (*FAMILIES, ()):
        own = {name: environ[name] for name in names if environ.get(name, "").strip()}
        if "OPENAI_API_KEY" in own:
            own.setdefault("OPENAI_BASE_URL", OPENAI_ADDRESS)
        settings = Settings.load(environ={**of_files, **own})
        if settings.key is not None and any(_is_same(one, endpoint) for one in settings.endpoints):
            return settings.key
    return None


def _is_same(one: Endpoint, other: Endpoint) -> bool:
    return (one.socket, one.origin) == (other.socket, other.origin)


def _both(one: Recorded | Broken, old: _Side, new: _Side, models: Mapping[str, str]) -> Compared | Broken:
    if isinstance(one, Broken):
        return one
    model = one.body.get("model")
    named = model if isinstance(model, str) else ""
    body = {**one.body, "model": models.get(named, named)} if named else one.body
    answers = old.answer(one.path, one.body), new.answer(one.path, body)
    return compared(one.line, one.path, (named, models.get(named, named)), *answers)
