"""Keys: checked without being echoed, masked everywhere, kept off public networks in the clear."""

from __future__ import annotations

import pickle

import pytest

from vllm_connect import KeyRejected
from vllm_connect.endpoint import Key, may_travel_in_clear

SECRET = "canary-key-7f3a"


@pytest.mark.parametrize(
    ("text", "kept"), [("plain", "plain"), (" plain\n", "plain"), ("with space", "with space")]
)
def test_accepted(text: str, kept: str) -> None:
    """White space around a key is stripped, as files and commands end in a newline; a space inside is legal."""
    assert Key(text, source="test").reveal() == kept


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        (f"{SECRET}\nX-Other: 1", "control character at position 16"),
        (f"{SECRET}\x00", "control character"),
        (f"{SECRET}é", "outside ASCII at position 16"),
        (f"“{SECRET}”", "outside ASCII at position 1"),
    ],
)
def test_rejected(text: str, problem: str) -> None:
    """A key that no header can carry is rejected with its source and the place, and never echoed."""
    with pytest.raises(KeyRejected, match="VLLM_API_KEY") as caught:
        Key(text, source="VLLM_API_KEY")
    assert problem in str(caught.value)
    assert SECRET not in str(caught.value)


def test_masked() -> None:
    """No way of showing a key shows it, and it is not pickled."""
    key = Key(SECRET, source="test")
    shown = f"{key} {key!r} {key:>9} {[key]} {vars(type(key))}" + str(key) + repr(key)
    assert SECRET not in shown
    assert not hasattr(key, "__dict__")
    with pytest.raises(TypeError):
        pickle.dumps(key)


@pytest.mark.parametrize(
    ("address", "passes"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("10.1.2.3", True),
        ("172.16.0.1", True),
        ("172.32.0.1", False),
        ("192.168.1.1", True),
        ("169.254.1.1", True),
        ("fe80::1%eth0", True),
        ("fd00::1", True),
        ("100.64.0.1", True),
        ("100.128.0.1", False),
        ("8.8.8.8", False),
        ("2001:4860:4860::8888", False),
        ("::ffff:8.8.8.8", False),
        ("::ffff:10.0.0.1", True),
        ("/run/vllm.sock", True),
    ],
)
def test_in_clear(address: str, *, passes: bool) -> None:
    """A key may go over plain http only to loopback, private, link-local, unique-local and shared networks."""
    assert may_travel_in_clear(address) is passes
