"""Embeddings of a simulated pooling server."""

import base64
import math
import struct

from tests.simulator.simulated import embed
from vllm_connect.simulator import Simulator


def vectors(server: Simulator, given: object) -> list[list[float]]:
    return [item["embedding"] for item in embed(server, given).json()["data"]]


def test_unit_vectors(pooling: Simulator) -> None:
    """Vectors have the server's size and norm one, and the text alone decides them."""
    first, again, other = vectors(pooling, ["a river", "a river", "the old bridge"])
    assert len(first) == 8
    assert math.isclose(math.hypot(*first), 1, rel_tol=1e-6)
    assert first == again != other


def test_base64(pooling: Simulator) -> None:
    """Base64 holds the same numbers as little-endian float32."""
    (plain,) = vectors(pooling, "a river")
    coded = embed(pooling, "a river", encoding_format="base64").json()["data"][0]["embedding"]
    assert list(struct.unpack("<8f", base64.b64decode(coded))) == plain


def test_input_forms(pooling: Simulator) -> None:
    """Texts, token ids and lists of either are inputs, and each counts."""
    reply = embed(pooling, [[5, 6], [7]]).json()
    assert [item["index"] for item in reply["data"]] == [0, 1]
    assert reply["usage"]["prompt_tokens"] == reply["usage"]["total_tokens"] == 3
    assert vectors(pooling, [5, 6]) == vectors(pooling, [[5, 6]])
    assert reply["model"] == "embedder"


def test_likeness(pooling: Simulator) -> None:
    """Texts that share words lie closer together than texts that do not."""
    with Simulator(kind="pooling", dimensions=256) as server:
        near, same, far = vectors(server, ["the quiet river", "the quiet garden", "candle machine stone"])
    product = [sum(a * b for a, b in zip(near, others, strict=True)) for others in (same, far)]
    assert product[0] > product[1]
