"""Every setting as a row: its name, the environment variables, what a file may hold, who may set it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["FIELDS", "KEY_FIELDS", "PROFILE_TABLE", "VARIABLES", "Field", "Variable"]

LONG_CALLS = ("auto", "stream", "plain")
WIRES = ("own", "sdk")
PARAMETER_MODES = ("warn", "strict", "off")
FITS = ("off", "clamp", "error")
SYSTEM_ROLES = ("keep", "fold")


@dataclass(frozen=True)
class Field:
    """One setting: what its value must be, in words and as a test, and whether a project file may set it.

    A project file comes with a cloned repository. It may name a server of its own; it may not reach for the
    keys of the person who runs it, nor loosen what protects them.
    """

    takes: str
    fits: Callable[[Any], bool]
    in_project_file: bool = True


def _text(value: object) -> bool:
    return isinstance(value, str)


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _texts(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(item, str) for item in value.values())


def _address(value: object) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)
    )


def _command(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


def _wire(value: object) -> bool:
    return value in WIRES


def _table(value: object) -> bool:
    return isinstance(value, dict)


FIELDS: Mapping[str, Field] = {
    "base_url": Field('an address, such as "http://gpu1:8000"', _address),
    "model": Field("the name of a served model", _text),
    "model_aliases": Field('a table of names, such as { "gpt-4o" = "qwen" }', _texts),
    "timeouts": Field("a table of seconds, such as { first_token = 300 }", _table),
    "limits": Field("a table of numbers, such as { event = 33554432 }", _table),
    "long_calls": Field('"auto", "stream" or "plain"', lambda value: value in LONG_CALLS),
    "resume": Field("true or false", _flag),
    "hedge": Field("true or false", _flag),
    "wire": Field('"own" or "sdk"', _wire),
    "parameters": Field('"warn", "strict" or "off"', lambda value: value in PARAMETER_MODES),
    "fit": Field('"off", "clamp" or "error"', lambda value: value in FITS),
    "system_roles": Field('"keep" or "fold"', lambda value: value in SYSTEM_ROLES),
    "tls": Field('a table, such as { ca = "ca.pem" }', _table),
    "api_key": Field("the key as a string", _text),
    "api_key_env": Field("the name of an environment variable", _text, in_project_file=False),
    "api_key_file": Field("the path of a file that holds the key", _text, in_project_file=False),
    "api_key_command": Field("a list: the command and its arguments", _command, in_project_file=False),
    "api_key_keyring": Field('"service/user"', _text, in_project_file=False),
    "api_key_prompt": Field("true or false", _flag, in_project_file=False),
    "allow_insecure_key": Field("true or false", _flag, in_project_file=False),
    "use_openai_api_key": Field("true or false", _flag, in_project_file=False),
    "profile": Field("the name of a profile", _text),
}
PROFILE_TABLE = "profiles"
KEY_FIELDS = tuple(name for name in FIELDS if name.startswith("api_key"))


@dataclass(frozen=True)
class Variable:
    """One environment variable: the setting it gives, and the group whose URL and key belong together."""

    name: str
    setting: str
    group: str


VARIABLES = (
    Variable("VLLM_BASE_URL", "base_url", "VLLM"),
    Variable("VLLM_API_BASE", "base_url", "VLLM"),
    Variable("VLLM_API_KEY", "api_key", "VLLM"),
    Variable("VLLM_MODEL", "model", "VLLM"),
    Variable("VLLMCONNECT_API_KEY_FILE", "api_key_file", "VLLM"),
    Variable("VLLMCONNECT_WIRE", "wire", "VLLM"),
    Variable("VLLMCONNECT_PARAMETERS", "parameters", "VLLM"),
    Variable("VLLMCONNECT_FIT", "fit", "VLLM"),
    Variable("VLLMCONNECT_SYSTEM_ROLES", "system_roles", "VLLM"),
    Variable("HOSTED_VLLM_API_BASE", "base_url", "HOSTED_VLLM"),
    Variable("HOSTED_VLLM_API_KEY", "api_key", "HOSTED_VLLM"),
    Variable("OPENAI_BASE_URL", "base_url", "OPENAI"),
    Variable("OPENAI_API_KEY", "api_key", "OPENAI"),
)
