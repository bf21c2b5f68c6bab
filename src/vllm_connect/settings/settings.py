"""All settings, merged once into one frozen value that knows where each came from."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from vllm_connect.endpoint import Endpoint, Tls, parse_endpoint
from vllm_connect.errors import SettingsError, SettingsWarning
from vllm_connect.settings.fields import FIELDS
from vllm_connect.settings.file import SettingsFile, find_project_file, nearest, read_settings_file
from vllm_connect.settings.key_source import KeySource
from vllm_connect.settings.layer import Layer, layers, unknown_variables
from vllm_connect.settings.limits import Limits
from vllm_connect.settings.pairing import WithheldKey, choose_key
from vllm_connect.settings.timeouts import Timeouts

__all__ = ["Settings", "merge", "parse_endpoints"]

# Settings that take one of a few words.
WORDS = ("long_calls", "wire", "parameters", "fit", "system_roles")
# What is taken as it stands from the first source that has it.
PLAIN = ("model", "profile", "allow_insecure_key", "use_openai_api_key", "resume", "hedge", *WORDS)
CONFIG_VARIABLE = "VLLMCONNECT_CONFIG"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything a client is set up with, and the origin of every value.

    `endpoint` is the server, or the first of several replicas, whose others are `further`.
    `origins` maps a setting to where its value stands; `withheld` lists keys that were found and are not
    sent; `key_reason` says why the key may go to the endpoint; `warnings` what is unsafe or has no effect. Made by `Settings.load()` or `merge()`.
    """

    endpoint: Endpoint
    further: tuple[Endpoint, ...] = ()
    key: KeySource | None = None
    key_reason: str = ""
    model: str | None = None
    model_aliases: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    timeouts: Timeouts = field(default_factory=Timeouts)
    tls: Tls | None = None
    limits: Limits = field(default_factory=Limits)
    long_calls: Literal["auto", "stream", "plain"] = "auto"
    resume: bool = False
    hedge: bool = False
    wire: Literal["own", "sdk"] = "own"
    parameters: Literal["warn", "strict", "off"] = "warn"
    fit: Literal["off", "clamp", "error"] = "off"
    system_roles: Literal["keep", "fold"] = "keep"
    allow_insecure_key: bool = False
    use_openai_api_key: bool = False
    profile: str | None = None
    origins: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    withheld: tuple[WithheldKey, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """All replicas, in the order in which they were given; one may stand for those at all addresses of its name."""
        return self.endpoint, *self.further

    @property
    def has_replicas(self) -> bool:
        """Whether there is more than one server, or may be: a name may stand for one today and two tomorrow."""
        return bool(self.further) or self.endpoint.every_address

    @staticmethod
    def load(
        arguments: Mapping[str, Any] | None = None,
        *,
        environ: Mapping[str, str] = os.environ,
        folder: Path | None = None,
        home: Path | None = None,
    ) -> Settings:
        """Merge arguments, environment, project file and user file; raises SettingsError.

        `arguments` holds settings by name, None for not given. Warns with SettingsWarning about what is
        unsafe. No network, no command and no question here: a key is read when first needed.
        """
        files = tuple(_files(environ, folder, home))
        given = {name: value for name, value in (arguments or {}).items() if value is not None}
        _check_arguments(given)
        settings = merge(given, environ, files)
        for warning in settings.warnings:
            warnings.warn(warning, SettingsWarning, stacklevel=3)
        return settings


def _files(environ: Mapping[str, str], folder: Path | None, home: Path | None) -> Iterator[SettingsFile]:
    """Yield the project file and the user file, as far as they exist; without a folder or home there is none."""
    named = environ.get(CONFIG_VARIABLE)
    user_path = Path(named).expanduser() if named else _or_none(_user_path)
    start = folder or _or_none(Path.cwd)
    if start is not None:
        project = find_project_file(start, home or _or_none(Path.home), user_path)
        if project is not None:
            yield project
    user = None if user_path is None else read_settings_file(user_path, "user file")
    if user is None and named:
        raise SettingsError(f"{CONFIG_VARIABLE}: there is no file {user_path}.")
    if user is not None:
        yield user


def _user_path() -> Path:
    import platformdirs  # noqa: PLC0415 - a program that makes no client asks for no file

    return platformdirs.user_config_path("vllm-connect") / "config.toml"


def _or_none(find: Callable[[], Path]) -> Path | None:
    """Return a folder of this process, None where it has none: deleted, or a user without a home."""
    try:
        return find()
    except (OSError, RuntimeError):
        return None


def _check_arguments(given: Mapping[str, Any]) -> None:
    """Refuse an argument of the wrong type, as files refuse a value of the wrong type."""
    finished = {"timeouts": Timeouts, "tls": Tls, "limits": Limits}
    for name, value in given.items():
        kind = finished.get(name)
        fits = isinstance(value, kind) if kind is not None else _FREE.get(name) or FIELDS[name].fits(value)
        if not fits:
            takes = f"a {kind.__name__}(...)" if kind is not None else FIELDS[name].takes
            raise SettingsError(f"`{name}` takes {takes}, not {type(value).__name__}.")


# An address may be an httpx URL, a key a function: whoever reads them checks them.
_FREE = {"base_url": True, "api_key": True}


def merge(
    arguments: Mapping[str, Any], environ: Mapping[str, str], files: tuple[SettingsFile, ...]
) -> Settings:
    """Merge all sources by precedence; address and key as one pair, so that no key follows a foreign address."""
    sources = layers(arguments, environ, files)
    merged = _Merged()
    address = merged.first(sources, "base_url")
    for name in PLAIN:
        merged.first(sources, name)
    for name in WORDS:
        _check_word(name, merged.values.get(name), merged.origins.get(name, ""))
    endpoints = parse_endpoints(merged.values.pop("base_url"), address.place("base_url"))
    merged.values["endpoint"], *further = endpoints
    merged.values["further"] = tuple(further)
    merged.table(sources, "model_aliases", MappingProxyType, None)
    merged.table(sources, "timeouts", lambda table: Timeouts(**table), Timeouts)
    merged.table(sources, "limits", lambda table: Limits(**table), Limits)
    merged.table(
        [layer for layer in sources if _tls_fits(layer, address)], "tls", lambda table: Tls(**table), Tls
    )
    choice = choose_key(
        sources,
        address,
        endpoints,
        environ,
        use_openai_api_key=bool(merged.values.get("use_openai_api_key")),
    )
    if choice.place:
        merged.origins["api_key"] = choice.place
    unsafe = (*_readable_keys(files), *unknown_variables(environ), *_unchecked(merged.values.get("tls")))
    return Settings(
        key=choice.key,
        key_reason=choice.why,
        withheld=choice.withheld,
        warnings=unsafe,
        origins=MappingProxyType(merged.origins),
        **merged.values,
    )


class _Merged:
    """The values found so far, and where each of them stands."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}

    def first(self, sources: list[Layer], name: str) -> Layer:
        """Take the value of the first source that has one; return that source (the last one without)."""
        for layer in sources:
            if name in layer.values:
                self.values[name] = layer.values[name]
                self.origins[name] = layer.place(name)
                return layer
        return sources[-1]

    def table(
        self, sources: list[Layer], name: str, make: Callable[[dict[str, Any]], Any], kind: type | None
    ) -> None:
        """Take a table key by key from all sources, or whole where an argument is its finished value."""
        table: dict[str, Any] = {}
        for layer in sources:
            value = layer.values.get(name, {})
            if kind is not None and isinstance(value, kind):
                self.values[name], self.origins[name] = value, layer.place(name)
                return
            for key in value:
                if key not in table:
                    table[key] = value[key]
                    self.origins[f"{name}.{key}"] = layer.place(name)
                    _check_key(kind, name, key, layer.place(name))
        if table:
            places = ", ".join(dict.fromkeys(self.origins[f"{name}.{key}"] for key in table))
            self.values[name] = _made(make, table, places)


def _check_word(name: str, word: object, place: str) -> None:
    """Refuse another word: files and arguments are checked before, a variable is any text."""
    if word is not None and not FIELDS[name].fits(word):
        raise SettingsError(f"{place} is {word!r}; it takes {FIELDS[name].takes}.")


def _check_key(kind: type | None, name: str, key: str, place: str) -> None:
    if kind is None:
        return
    known = {one.name for one in fields(kind)}
    if key not in known:
        raise SettingsError(f"{place}: unknown setting `{name}.{key}`{nearest(key, known)}")


def _made(make: Callable[[dict[str, Any]], Any], table: dict[str, Any], places: str) -> Any:
    try:
        return make({key: tuple(value) if isinstance(value, list) else value for key, value in table.items()})
    except SettingsError as problem:
        raise SettingsError(f"{places}: {problem}") from None


def parse_endpoints(base_url: object, place: str) -> tuple[Endpoint, ...]:
    """Return the servers that a value names: one address, or a list of replicas, in a text with commas between."""
    source = "base_url" if place == "argument" else place
    addresses = base_url if isinstance(base_url, list | tuple) else str(base_url).split(",")
    endpoints = tuple(parse_endpoint(str(address), source=source) for address in addresses)
    if not endpoints:
        raise SettingsError(f"{source} is an empty list; it takes one address, or one for each replica.")
    for index, endpoint in enumerate(endpoints):
        others = endpoints[:index]
        if endpoint in others or (
            not endpoint.address and endpoint.by_name in [one.by_name for one in others if not one.address]
        ):
            raise SettingsError(f"{source} names {endpoint} twice; name each replica once.")
    return endpoints


def _tls_fits(layer: Layer, address: Layer) -> bool:
    """Whether TLS of this source holds for the address: a project file speaks for its own servers only."""
    return layer.kind != "project file" or address.kind == "project file"


def _readable_keys(files: tuple[SettingsFile, ...]) -> Iterator[str]:
    for file in files:
        tables = (file.values, *file.profiles.values())
        if file.readable_by_others and any("api_key" in table for table in tables):
            yield (
                f"{file.path} holds an API key and can be read by other users of this machine; "
                f"run: chmod 600 {file.path}"
            )


def _unchecked(tls: Tls | None) -> Iterator[str]:
    if tls is not None and not tls.verify:
        yield "tls.verify is off: anyone on the way can read and change what is sent, the API key included."
