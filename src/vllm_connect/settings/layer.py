"""One source of settings as a value; a list of them, most important first, is all there is to merge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from vllm_connect.errors import SettingsError
from vllm_connect.settings.fields import FIELDS, VARIABLES
from vllm_connect.settings.file import SettingsFile, nearest

__all__ = ["Layer", "LayerKind", "layers"]

LayerKind = Literal["argument", "environment", "project file", "user file", "default"]

PROFILE_VARIABLE = "VLLMCONNECT_PROFILE"
DEFAULT_BASE_URL = "http://localhost:8000/v1"


@dataclass(frozen=True)
class Layer:
    """The settings of one source, where each stands, and the group whose address and key belong together.

    `group` names the source as precisely as a key is bound to it: the family of an environment variable, or
    one table of one file. `shares_key` marks a table whose key serves all tables of its file, because it
    names no address of its own.
    """

    kind: LayerKind
    group: str
    values: Mapping[str, Any]
    places: Mapping[str, str]
    shares_key: bool = False

    def place(self, name: str) -> str:
        """Return where a value stands, for people."""
        return self.places.get(name, self.group)


def layers(
    arguments: Mapping[str, Any],
    environ: Mapping[str, str],
    files: tuple[SettingsFile, ...],
) -> list[Layer]:
    """Return all sources in the order of precedence: arguments, environment, project file, user file, default.

    A profile chosen by argument ranks with the arguments, one chosen by VLLMCONNECT_PROFILE below the other
    variables, one chosen in a file above that file's own values. An empty variable counts as not set.
    """
    chosen = arguments.get("profile")
    by_variable = environ.get(PROFILE_VARIABLE) or None
    found = [Layer("argument", "argument", dict(arguments), dict.fromkeys(arguments, "argument"))]
    if chosen is not None:
        found += _profile(chosen, "argument `profile`", files)
    found += _environment(environ)
    if chosen is None and by_variable is not None:
        found += _profile(by_variable, PROFILE_VARIABLE, files)
    for file in files:
        if chosen is None and by_variable is None and "profile" in file.values:
            found += _profile(file.values["profile"], file.place("profile"), (file,))
        found.append(_table(file, file.values))
    default = {"base_url": DEFAULT_BASE_URL}
    return [*found, Layer("default", "default", default, {"base_url": "default"})]


def _environment(environ: Mapping[str, str]) -> Iterator[Layer]:
    for group in dict.fromkeys(variable.group for variable in VARIABLES):
        values: dict[str, str] = {}
        places: dict[str, str] = {}
        for variable in VARIABLES:
            value = environ.get(variable.name, "")
            if variable.group == group and value.strip() and variable.setting not in values:
                values[variable.setting] = value
                places[variable.setting] = variable.name
        if values:
            yield Layer("environment", group, values, places)


def _profile(name: str, chosen_by: str, files: tuple[SettingsFile, ...]) -> list[Layer]:
    found = [_table(file, file.profiles[name], "profiles", name) for file in files if name in file.profiles]
    if not found:
        known = {profile for file in files for profile in file.profiles}
        where = ", ".join(str(file.path) for file in files) or "vllm-connect.toml"
        hint = nearest(name, known) if known else f". Define it as a table [profiles.{name}] in {where}."
        raise SettingsError(f"{chosen_by}: no profile named {name!r}{hint}")
    return found


def _table(file: SettingsFile, values: Mapping[str, Any], *keys: str) -> Layer:
    places = {name: file.place(*keys, name) for name in values}
    header = f" [{'.'.join(keys)}]" if keys else ""
    return Layer(
        file.kind, f"{file.path}{header}", values, places, shares_key=not keys and "base_url" not in values
    )


# Variables that are no settings: the command line reads them itself.
COMMAND_LINES = {"VLLMCONNECT_HISTORY", "VLLMCONNECT_TRACEBACK"}


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Return a sentence for every variable of our own prefix that no setting reads."""
    known = (
        {variable.name for variable in VARIABLES} | {PROFILE_VARIABLE, "VLLMCONNECT_CONFIG"} | COMMAND_LINES
    )
    ours = {name for name in known if name.startswith("VLLMCONNECT_")}
    return [
        f"The environment variable {name} is not read{nearest(name, ours)}"
        for name in sorted(environ)
        if name.startswith("VLLMCONNECT_") and name not in known
    ]


assert all(variable.setting in FIELDS for variable in VARIABLES)
