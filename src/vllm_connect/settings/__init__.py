"""Arguments, environment and files, merged once into frozen Settings, with the origin of each value."""

from vllm_connect.settings.file import SettingsFile, read_settings_file
from vllm_connect.settings.key_source import CallableKey, FileKey, GivenKey, KeySource, PromptKey
from vllm_connect.settings.limits import Limits
from vllm_connect.settings.pairing import WithheldKey
from vllm_connect.settings.settings import Settings, merge, parse_endpoints
from vllm_connect.settings.timeouts import HttpxTimeout, Timeouts, Timers, timers

__all__ = [
    "CallableKey",
    "FileKey",
    "GivenKey",
    "HttpxTimeout",
    "KeySource",
    "Limits",
    "PromptKey",
    "Settings",
    "SettingsFile",
    "Timeouts",
    "Timers",
    "WithheldKey",
    "merge",
    "parse_endpoints",
    "read_settings_file",
    "timers",
]
