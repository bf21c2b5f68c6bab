"""Which key goes to which server: a key goes only where its own source sends it, or where an argument does.

Without this rule a file in a cloned repository that sets an address receives the reader's key, and plain
`openai` code sends OPENAI_API_KEY to whatever base_url says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vllm_connect.endpoint import Endpoint, Key
from vllm_connect.errors import SettingsError
from vllm_connect.settings.fields import KEY_FIELDS
from vllm_connect.settings.key_source import (
    CommandKey,
    FileKey,
    GivenKey,
    KeyringKey,
    KeySource,
    PromptKey,
)
from vllm_connect.settings.layer import Layer

__all__ = ["KeyChoice", "Verdict", "WithheldKey", "choose_key", "judge_pair"]

VLLM_FAMILY = frozenset({"VLLM", "HOSTED_VLLM"})


@dataclass(frozen=True)
class Verdict:
    """Whether a key is sent to an address, and why."""

    action: Literal["send", "refuse"]
    why: str


@dataclass(frozen=True)
class WithheldKey:
    """A key that was found and not used: where it stands, and why it stays there."""

    place: str
    why: str


def judge_pair(
    address: Layer,
    key: Layer,
    *,
    endpoint: Endpoint,
    given: Key | None,
    family_has_address: bool,
    use_openai_api_key: bool,
) -> Verdict:
    """Return whether the key of one source goes to the address of another.

    `given` is the key's text where it is at hand, `family_has_address` whether the key's own family of
    variables names an address too, `use_openai_api_key` the caller's override for OPENAI_API_KEY.
    """
    if key.kind == "argument":
        return Verdict("send", "the key was given by argument")
    if key.group == "OPENAI":
        return _judge_openai_key(address, endpoint, given, use_openai_api_key=use_openai_api_key)
    if address.kind == "argument":
        return Verdict("send", "the address was given by argument")
    if address.group == key.group:
        return Verdict("send", "address and key come from the same source")
    if {address.group, key.group} <= VLLM_FAMILY and not family_has_address:
        return Verdict("send", "both are variables for vLLM")
    if key.shares_key and address.group.startswith(f"{key.group} ["):
        return Verdict("send", "the key serves every profile of its file")
    if address.kind == "default":
        return Verdict("send", "the default address is this machine")
    return Verdict("refuse", "the address comes from another source than the key")


def _judge_openai_key(
    address: Layer, endpoint: Endpoint, given: Key | None, *, use_openai_api_key: bool
) -> Verdict:
    """Judge OPENAI_API_KEY, which opens an account of OpenAI's unless it is clearly something else."""
    if use_openai_api_key and address.kind != "project file":
        return Verdict("send", "use_openai_api_key is set")
    if address.kind != "argument" and address.group != "OPENAI":
        return Verdict(
            "refuse", "OPENAI_API_KEY goes only with OPENAI_BASE_URL or an address given by argument"
        )
    if given is not None and given.is_openai_platform_key and not endpoint.is_openai:
        return Verdict("refuse", "it is a key of the OpenAI platform and the server is not OpenAI's")
    return Verdict("send", "the address was given by argument or by OPENAI_BASE_URL")


@dataclass(frozen=True)
class KeyChoice:
    """The key that is sent, where it stands and why it may go; and the keys that were found and are withheld."""

    key: KeySource | None
    place: str
    why: str
    withheld: tuple[WithheldKey, ...]


def choose_key(
    sources: list[Layer],
    address: Layer,
    endpoints: Sequence[Endpoint],
    environ: Mapping[str, str],
    *,
    use_openai_api_key: bool,
) -> KeyChoice:
    """Return the first key, by precedence, whose source may send it to the address, to every one of its replicas."""
    groups_with_address = {layer.group for layer in sources if "base_url" in layer.values}
    withheld: list[WithheldKey] = []
    for layer, name in _key_settings(sources):
        source = _key_source(layer, name, endpoints[0], environ)
        if source is None:
            continue
        verdicts = [
            judge_pair(
                address,
                layer,
                endpoint=endpoint,
                given=source.key if isinstance(source, GivenKey) else None,
                family_has_address=layer.group in groups_with_address,
                use_openai_api_key=use_openai_api_key,
            )
            for endpoint in endpoints
        ]
        verdict = next((one for one in verdicts if one.action == "refuse"), verdicts[0])
        if verdict.action == "send":
            return KeyChoice(source, source.place, verdict.why, tuple(withheld))
        withheld.append(WithheldKey(source.place, verdict.why))
    return KeyChoice(None, "", "", tuple(withheld))


def _key_settings(sources: list[Layer]) -> Iterator[tuple[Layer, str]]:
    for layer in sources:
        named = [name for name in KEY_FIELDS if layer.values.get(name, False) is not False]
        if len(named) > 1 and layer.kind != "environment":
            places = " and ".join(layer.place(name) for name in named)
            raise SettingsError(f"{places}: {' and '.join(named)} both give the key; keep one of them.")
        for name in named:
            yield layer, name


def _key_source(layer: Layer, name: str, endpoint: Endpoint, environ: Mapping[str, str]) -> KeySource | None:
    """Return where this setting says the key comes from, or None where it gives none."""
    value, place = layer.values[name], layer.place(name)
    return _KEY_SOURCES[name](value, place, endpoint, environ)


def _given(value: Any, place: str, _endpoint: Endpoint, _environ: Mapping[str, str]) -> KeySource | None:
    if not isinstance(value, str):
        return value if value is None or hasattr(value, "load") else GivenKey(value, place)
    return GivenKey(Key(value, source=place), place) if value.strip() else None


def _named(value: str, place: str, _endpoint: Endpoint, environ: Mapping[str, str]) -> KeySource | None:
    text = environ.get(value, "")
    if not text.strip():
        raise SettingsError(
            f"{place}: the environment variable {value} is not set, or empty; set it to the key."
        )
    return GivenKey(Key(text, source=value), f"{value} (named in {place})")


def _keyring(value: str, place: str, _endpoint: Endpoint, _environ: Mapping[str, str]) -> KeySource:
    service, slash, user = value.partition("/")
    if not (service and slash and user):
        raise SettingsError(f'{place}: `api_key_keyring` takes "service/user", not {value!r}.')
    return KeyringKey(service, user, place)


_KEY_SOURCES: Mapping[str, Callable[[Any, str, Endpoint, Mapping[str, str]], KeySource | None]] = {
    "api_key": _given,
    "api_key_env": _named,
    "api_key_file": lambda value, place, *_: FileKey(Path(value), place),
    "api_key_command": lambda value, place, *_: CommandKey(tuple(value), place),
    "api_key_keyring": _keyring,
    "api_key_prompt": lambda value, place, endpoint, _: PromptKey(str(endpoint), place) if value else None,
}
