"""What a setting means for a program that moves to vLLM: what is rewritten, what is said; the same for every format.

Who reads which variable: the openai package since 1.0 reads OPENAI_BASE_URL and OPENAI_API_KEY; its 0.x, LangChain,
LlamaIndex and litellm read OPENAI_API_BASE; vllm_connect reads VLLM_BASE_URL, VLLM_API_BASE, HOSTED_VLLM_API_BASE and
OPENAI_BASE_URL, and VLLM_API_KEY. An address is written a second time as VLLM_BASE_URL, so that who reads the other
goes on reading it. A key is never written anywhere: it would go to a server that it was not for.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from vllm_connect.migrate.configuration.entry import Entry, Span
from vllm_connect.migrate.finding import Severity
from vllm_connect.migrate.model_names import NAMES, SHORT_NAMES
from vllm_connect.migrate.rule import Rule
from vllm_connect.migrate.variables import HOSTS, is_key_of_openai, is_placeholder

__all__ = ["ADDRESS", "API_BASE", "KEY", "OURS", "RULES", "Said", "judged"]

ADDRESS = Rule(
    "configured-address",
    "OpenAI's address in the settings",
    Severity.BREAKS,
    "what reads it sends prompts to OpenAI",
    "Put your server's address into VLLM_BASE_URL.",
)
API_BASE = Rule(
    "api-base-variable",
    "OPENAI_API_BASE, which not everything reads",
    Severity.BREAKS,
    "LangChain, LlamaIndex and litellm read OPENAI_API_BASE; the openai package since 1.0 does not, and sends prompts "
    "to api.openai.com; vllm_connect reads VLLM_BASE_URL",
    "Set VLLM_BASE_URL too.",
)
KEY = Rule(
    "configured-key",
    "OpenAI's key in the settings",
    Severity.SILENTLY_IGNORED,
    "vllm_connect sends OPENAI_API_KEY to no server but the one that OPENAI_BASE_URL names",
    "Set VLLM_API_KEY where your server asks for a key; take this one out once nothing here talks to OpenAI.",
)
AZURE = Rule(
    "azure-variable",
    "A variable for Azure's OpenAI",
    Severity.SILENTLY_IGNORED,
    "only clients for Azure read it",
    "Set VLLM_BASE_URL, and VLLM_API_KEY where your server asks for a key; take it out once nothing reads it.",
)
PLATFORM = Rule(
    "platform-variable",
    "A variable for the OpenAI platform",
    Severity.COSMETIC,
    "it means nothing to vLLM, and vllm_connect does not send it",
    "Take it out once nothing here talks to OpenAI.",
)
MODEL = Rule(
    "configured-model",
    "A model of OpenAI's in the settings",
    Severity.BREAKS,
    "a vLLM server answers 404 for models that it does not serve",
    "Name a served model; --model-map OLD=NEW does it everywhere.",
)
RULES = (ADDRESS, API_BASE, KEY, AZURE, PLATFORM, MODEL)

# What stands in for an address that is not known: what vllm_connect goes to by itself, which is never OpenAI's.
DEFAULT = "http://localhost:8000/v1"
OURS = ("VLLM_BASE_URL", "VLLM_API_BASE", "HOSTED_VLLM_API_BASE", "OPENAI_BASE_URL")
ADDRESSES = frozenset({"OPENAI_BASE_URL", "OPENAI_API_BASE"})
KEYS = frozenset({"OPENAI_API_KEY", "OPENAI_KEY", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_KEY"})
OF_PLATFORM = frozenset(
    {
        *("OPENAI_ORG_ID", "OPENAI_ORGANIZATION", "OPENAI_ORGANIZATION_ID", "OPENAI_PROJECT"),
        *("OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY", "OPENAI_API_TYPE", "OPENAI_API_VERSION"),
    }
)
NAMES_A_MODEL = re.compile(r"model|deployment|engine|embedding|llm", re.IGNORECASE)
BASE = re.compile(r"https?://api\.openai\.com(?::443)?(?:/v1)?/?", re.IGNORECASE)
# `${NAME:-default}` of shells and compose files.
WITH_DEFAULT = re.compile(r"\$\{\w+:?-(?P<default>[^}]*)\}")


class Replacement(NamedTuple):
    """A text in place of another; an empty place is where it is put in."""

    at: Span
    text: str


@dataclass(frozen=True)
class Said:
    """What is said of one entry, and what is done."""

    entry: Entry
    rule: Rule
    message: str = ""
    todo: str | None = None
    edits: tuple[Replacement, ...] = ()
    severity: Severity | None = None


def judged(entries: Iterable[Entry], text: str, models: Mapping[str, str]) -> Iterator[Said]:
    """Yield what there is to say of a file's settings."""
    entries = list(entries)
    names: dict[Hashable, dict[str, Entry]] = {}
    for entry in entries:
        names.setdefault(entry.scope, {}).setdefault(entry.name, entry)
    for entry in entries:
        yield from _judged(entry, names[entry.scope], text, models)


def _judged(
    entry: Entry, beside: Mapping[str, Entry], text: str, models: Mapping[str, str]
) -> Iterator[Said]:
    value = entry.value or ""
    if entry.name in KEYS:
        yield from _key(entry, value, beside)
    elif is_key_of_openai(value):
        yield Said(entry, KEY, "a key of the OpenAI platform stands here", REVOKE)
    elif HOSTS.search(value) and entry.name not in ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_BASE_URL"):
        yield from _address_of_openai(entry, value, beside)
    elif entry.name == "OPENAI_API_BASE":
        yield from _api_base(entry, beside, text)
    elif entry.name in OF_PLATFORM:
        yield Said(entry, PLATFORM)
    elif NAMES_A_MODEL.search(entry.name) and (name := _model_in(value, models)):
        yield from _model(entry, name, models)
    elif entry.name.startswith("AZURE_OPENAI_"):
        yield Said(entry, AZURE)


REVOKE = (
    "Revoke that key if this file was ever shared. Set VLLM_API_KEY where your server asks for a key, "
    "and take this one out once nothing here talks to OpenAI."
)


def _key(entry: Entry, value: str, beside: Mapping[str, Entry]) -> Iterator[Said]:
    if value and is_placeholder(value):
        return
    if is_key_of_openai(value):
        yield Said(
            entry,
            KEY,
            "a key of the OpenAI platform stands here; vllm_connect sends it to OpenAI alone",
            REVOKE,
        )
        return
    address = beside.get("OPENAI_BASE_URL")
    if entry.name == "OPENAI_API_KEY" and address is not None and not HOSTS.search(address.value or ""):
        return  # it goes to the server beside which it stands
    yield Said(entry, AZURE if entry.name.startswith("AZURE") else KEY)


def _address_of_openai(entry: Entry, value: str, beside: Mapping[str, Entry]) -> Iterator[Said]:
    others = [
        name
        for name in (*OURS, "OPENAI_API_BASE")
        if name != entry.name and _leads_elsewhere(beside.get(name))
    ]
    if entry.name == "OPENAI_API_BASE" and "OPENAI_BASE_URL" in beside:
        others = [*others, "OPENAI_BASE_URL"]  # which is rewritten, and need not be so twice
    is_plain = entry.name in ADDRESSES and BASE.fullmatch(value) and entry.whole and entry.value_at
    if not is_plain:
        if re.fullmatch(r"\S*", value) and not re.search(r"/v1/.", value):
            yield Said(entry, ADDRESS)
        return
    if others:
        yield Said(
            entry,
            ADDRESS,
            f"this is OpenAI's address, and {others[0]} stands beside it",
            "Take it out where nothing here is to go to OpenAI.",
        )
        return
    assert entry.value_at is not None
    yield Said(
        entry,
        ADDRESS,
        f"{entry.name} named OpenAI's server; VLLM_BASE_URL stands in its place",
        f"Put your server's address there: {DEFAULT} is what stands in for it.",
        (Replacement(entry.name_at, "VLLM_BASE_URL"), Replacement(entry.value_at, DEFAULT)),
    )


def _leads_elsewhere(entry: Entry | None) -> bool:
    """Whether an address is set that is not OpenAI's."""
    return entry is not None and not HOSTS.search(entry.value or "")


def _api_base(entry: Entry, beside: Mapping[str, Entry], text: str) -> Iterator[Said]:
    if any(_leads_elsewhere(beside.get(name)) for name in OURS):
        return
    if entry.whole is None:
        yield Said(entry, API_BASE)
        return
    start, end = entry.whole
    copy = text[start : entry.name_at[0]] + "VLLM_BASE_URL" + text[entry.name_at[1] : end]
    if entry.joint == "word":
        copy = f" {copy}"
    elif not copy.endswith("\n"):
        copy = ("\r\n" if "\r\n" in text else "\n") + copy
    yield Said(
        entry,
        API_BASE,
        "vllm_connect and the openai package since 1.0 do not read OPENAI_API_BASE; VLLM_BASE_URL stands beside it",
        "Take OPENAI_API_BASE out where neither LangChain, LlamaIndex nor litellm reads it.",
        (Replacement((end, end), copy),),
    )


def _model_in(value: str, models: Mapping[str, str]) -> str:
    """Return the model of OpenAI's, or of the map, that a value is or falls back to; empty for none."""
    found = WITH_DEFAULT.search(value)
    for name in (value, found["default"] if found else ""):
        if name in models or NAMES.fullmatch(name) or SHORT_NAMES.fullmatch(name):
            return name
    return ""


def _model(entry: Entry, name: str, models: Mapping[str, str]) -> Iterator[Said]:
    new = models.get(name)
    if new is None or entry.value_at is None or entry.value is None:
        yield Said(entry, MODEL, f"{name} is a model of OpenAI's, which a vLLM server answers with 404")
    elif new != name:
        start = entry.value_at[0] + entry.value.rindex(name)
        edit = Replacement((start, start + len(name)), new)
        yield Said(entry, MODEL, f"{name} became {new}", "", (edit,))
