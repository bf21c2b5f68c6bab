"""An API key as a value that shows itself to nobody, and what it may travel over."""

from __future__ import annotations

import hmac
import ipaddress
from typing import Never

from vllm_connect.errors import KeyRejected

__all__ = ["MASK", "Hidden", "Key", "may_travel_in_clear"]

MASK = "***"
PLACEHOLDERS = frozenset({"EMPTY"})
# Shorter keys stand in ordinary words and numbers: masking them would garble every message and hide nothing.
SHORTEST_SECRET = 4
# The marks of keys of the OpenAI platform; vLLM keys are free text and hold none of them.
PLATFORM_PREFIXES = ("sk-proj-", "sk-svcacct-", "sk-admin-")
PLATFORM_INFIX = "T3BlbkFJ"
# Carrier-grade NAT (RFC 6598), which overlay networks use; `ipaddress` does not count it as private.
SHARED_NETWORK = ipaddress.ip_network("100.64.0.0/10")


class Hidden:
    """What a caller gave as a key, not yet looked at: reports of tracebacks print every local, but not this."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __repr__(self) -> str:
        return MASK


class Key:
    """An API key, checked and masked: repr, str, format, vars and pickle never show it.

    Raises KeyRejected for control and non-ASCII characters, which no header carries (RFC 9110, 5.5).
    White space around the key is stripped, as files and commands end in a newline; a space inside is legal.
    """

    __slots__ = ("__secret",)

    def __init__(self, text: str, *, source: str) -> None:
        stripped = text.strip()
        problem = _problem(stripped)
        if problem:
            # The frames of a traceback keep their locals: reports with locals would show the key.
            del text, stripped
            raise KeyRejected(f"The API key from {source} {problem} Set it again without that.")
        self.__secret = stripped

    def reveal(self) -> str:
        """Return the key itself, to be written on the wire."""
        return self.__secret

    @property
    def is_placeholder(self) -> bool:
        """Whether this is the customary `EMPTY`, which protects nothing."""
        return self.__secret in PLACEHOLDERS

    @property
    def is_openai_platform_key(self) -> bool:
        """Whether this key opens an account of the OpenAI platform."""
        return self.__secret.startswith(PLATFORM_PREFIXES) or PLATFORM_INFIX in self.__secret

    def scrub(self, text: str) -> str:
        """Return the text with every occurrence of the key masked: servers echo what they refuse."""
        worth_hiding = not self.is_placeholder and len(self.__secret) >= SHORTEST_SECRET
        return text.replace(self.__secret, MASK) if worth_hiding else text

    def __repr__(self) -> str:
        return f"Key({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and hmac.compare_digest(self.__secret, other.__secret)

    def __hash__(self) -> int:
        return hash((Key, self.__secret))

    def __reduce__(self) -> Never:
        raise TypeError("A Key is not pickled; load it again in the other process.")


def _problem(text: str) -> str:
    if not text:
        return "is empty."
    for position, character in enumerate(text, 1):
        if not character.isascii():
            return f"has a character outside ASCII at position {position}."
        if not character.isprintable():
            return f"has a control character at position {position}."
    return ""


def may_travel_in_clear(address: str) -> bool:
    """Whether a key may go over plain http to this connected IP address.

    Loopback, private, link-local, unique-local (RFC 1918, 3927, 4193, 4291) and 100.64.0.0/10 (RFC 6598) pass.
    An address that is none (a unix socket's path) never leaves the machine and passes.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return True
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if isinstance(ip, ipaddress.IPv4Address) and ip in SHARED_NETWORK:
        return True
    return ip.is_loopback or ip.is_link_local or _is_private_network(ip)


PRIVATE_NETWORKS = tuple(
    ipaddress.ip_network(network) for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)


def _is_private_network(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether the address is of a private network.

    `is_private` of the standard library also holds for documentation and benchmarking networks.
    """
    return any(ip.version == network.version and ip in network for network in PRIVATE_NETWORKS)
