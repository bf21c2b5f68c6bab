"""Addresses: every customary spelling means one endpoint, everything else is refused with its fix."""

from __future__ import annotations

import importlib

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_connect import EndpointError
from vllm_connect.endpoint import Endpoint, parse_endpoint

SPELLINGS = [
    ("gpu1", "http://gpu1:8000/v1"),
    ("gpu1:8000", "http://gpu1:8000/v1"),
    ("gpu1:443", "https://gpu1/v1"),
    ("localhost/v1", "http://localhost:8000/v1"),
    ("http://gpu1", "http://gpu1/v1"),
    ("http://gpu1:8000", "http://gpu1:8000/v1"),
    ("http://gpu1:8000/", "http://gpu1:8000/v1"),
    ("http://gpu1:8000/v1", "http://gpu1:8000/v1"),
    ("http://gpu1:8000/v1/", "http://gpu1:8000/v1"),
    ("http://gpu1:8000/v1/chat/completions", "http://gpu1:8000/v1"),
    ("http://gpu1:8000/v1/models", "http://gpu1:8000/v1"),
    ("http://gpu1:8000/chat/completions", "http://gpu1:8000/v1"),
    ("http://gpu1:8000//v1", "http://gpu1:8000/v1"),
    ("http://gpu1:8000/v1/v1", "http://gpu1:8000/v1"),
    ("http//gpu1:8000/v1", "http://gpu1:8000/v1"),
    ("http:/gpu1:8000/v1", "http://gpu1:8000/v1"),
    ("  http://gpu1:8000/v1\n", "http://gpu1:8000/v1"),
    ("HTTP://GPU1:8000/v1", "http://gpu1:8000/v1"),
    ("http://gpu1:80/v1", "http://gpu1/v1"),
    ("https://host/proxy/v1", "https://host/proxy/v1"),
    ("https://host/proxy/v1/embeddings", "https://host/proxy/v1"),
    ("https://host/proxy", "https://host/proxy"),
    ("http://0.0.0.0:8000", "http://127.0.0.1:8000/v1"),
    ("::1", "http://[::1]:8000/v1"),
    ("[::1]:8000", "http://[::1]:8000/v1"),
    ("http://[2001:DB8::0:1]:8000/v1", "http://[2001:db8::1]:8000/v1"),
    ("http://vllm_server:8000", "http://vllm_server:8000/v1"),
    ("http://bücher.example/v1", "http://xn--bcher-kva.example/v1"),
    ("unix:///run/vllm.sock", "unix:///run/vllm.sock/v1"),
    ("unix:/run/vllm.sock", "unix:///run/vllm.sock/v1"),
    ("unix:///run/vllm.sock/proxy/v1", "unix:///run/vllm.sock/proxy/v1"),
    ("dns+http://gpus:8000", "dns+http://gpus:8000/v1"),
    ("DNS+https://gpus/proxy/v1", "dns+https://gpus/proxy/v1"),
    ("dns+gpus", "dns+http://gpus:8000/v1"),
    ("http://gpus:8000 [10.0.0.7]", "http://gpus:8000/v1 [10.0.0.7]"),
    ("gpus [2001:DB8::0:7]", "http://gpus:8000/v1 [2001:db8::7]"),
]

REFUSED = [
    ("", "is empty"),
    ("   ", "is empty"),
    ("http://", "no host name"),
    ("http://user:secret@gpu1:8000/v1", "Write http://gpu1:8000/v1"),
    ("user:secret@gpu1", "Write gpu1"),
    ("http://gpu1/v1?token=secret", "default_query"),
    ("http://user:secret@gpu1/v1?x=1", "Write http://gpu1/v1"),
    ("http://gpu1/v1#secret", "fragment"),
    ("http://gpu1:99999/v1", "from 1 to 65535"),
    ("http://gpu1:0", "from 1 to 65535"),
    ("http://gpu1:port", "from 1 to 65535"),
    ("http://gpu1:8000x", "from 1 to 65535"),
    ("ftp://gpu1", "Write http://gpu1"),
    ("wss://gpu1/v1", "Write https://gpu1/v1"),
    ("http://gpu 1:8000", "white space"),
    ("http://gpu1\n.evil:8000", "control character"),
    ("http:\\\\gpu1", "backslash"),
    ("http://-gpu1", "no host name"),
    ("http://300.1.1.1", "IPv4"),
    ("http://[::zz]:8000", "IPv6"),
    ("unix://run/vllm.sock", "unix:///run/vllm.sock"),
    ("unix:///", "names no unix socket"),
    ("dns+http://10.0.0.7:8000", "Write http://10.0.0.7:8000/v1"),
    ("dns+http://[::1]:8000", "Write http://[::1]:8000/v1"),
    ("dns+unix:///run/vllm.sock", "Write unix:///run/vllm.sock/v1"),
    ("dns+dns+http://gpus", "Write dns+http://gpus/v1"),
    ("dns+http://gpus [10.0.0.7]", "host's name only"),
    ("dns+http://user:secret@gpus", "user information"),
    ("dns+", "is empty"),
    ("http://10.0.0.1 [10.0.0.7]", "host's name only"),
    ("http://gpus [300.0.0.7]", "no IP address between the brackets"),
    ("http://gpus?secret [10.0.0.7]", "a query"),
]


@pytest.mark.parametrize(("text", "means"), SPELLINGS)
def test_spelling(text: str, means: str) -> None:
    """Each customary spelling of an address means the endpoint that a person would expect."""
    assert str(parse_endpoint(text)) == means


@pytest.mark.parametrize(("text", "fix"), REFUSED)
def test_refused(text: str, fix: str) -> None:
    """What cannot be an address is refused with the fix in the message, and without its secrets."""
    with pytest.raises(EndpointError) as caught:
        parse_endpoint(text, source="VLLM_BASE_URL")
    assert fix in str(caught.value)
    assert "VLLM_BASE_URL" in str(caught.value)
    assert "secret" not in str(caught.value)


hosts = st.from_regex(
    r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z]{2,5})?", fullmatch=True
) | st.ip_addresses().map(lambda ip: f"[{ip}]" if ip.version == 6 else str(ip))
paths = st.lists(st.from_regex(r"[a-z0-9_.-]{1,8}", fullmatch=True), max_size=3).map(
    lambda parts: "".join(f"/{part}" for part in parts)
)


@given(st.sampled_from(["", "http://", "https://"]), hosts, st.none() | st.integers(1, 65535), paths)
def test_stable(scheme: str, host: str, port: int | None, path: str) -> None:
    """What an address means is an address itself, means the same, and is one that httpx takes as it is."""
    endpoint = parse_endpoint(f"{scheme}{host}{'' if port is None else f':{port}'}{path}")
    assert parse_endpoint(str(endpoint)) == endpoint
    http = importlib.import_module(openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0])
    url = http.URL(endpoint.base_url)
    assert (url.scheme, url.host) == (endpoint.scheme, endpoint.host)
    assert (url.port or {"http": 80, "https": 443}[url.scheme]) == endpoint.port


@given(st.text(max_size=40))
def test_total(text: str) -> None:
    """Whatever text comes, the answer is an endpoint or an EndpointError; nothing else escapes."""
    try:
        endpoint = parse_endpoint(text)
    except EndpointError:
        return
    assert isinstance(endpoint, Endpoint)
    assert parse_endpoint(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("localhost", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("unix:///s.sock", True),
        ("gpu1", False),
        ("gpu1 [127.0.0.2]", True),
        ("10.0.0.1", False),
    ],
)
def test_loopback(text: str, *, loopback: bool) -> None:
    """An endpoint knows whether its server is on this machine."""
    assert parse_endpoint(text).is_loopback is loopback
