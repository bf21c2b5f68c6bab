"""Embeddings of a simulated pooling server."""

import base64
import json
import math
import struct
from typing import Any

import pytest

from tests.simulator.simulated import ask, embed
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


@pytest.mark.parametrize(
    ("dtype", "endianness", "format_"),
    [
        ("float32", "native", "<8f"),
        ("float32", "big", ">8f"),
        ("float16", "little", "<8e"),
        ("float16", "big", ">8e"),
    ],
)
def test_number_formats(pooling: Simulator, dtype: str, endianness: str, format_: str) -> None:
    """Base64 and bare bytes hold the same numbers in the format asked for."""
    (plain,) = vectors(pooling, "a river")
    form = {"embed_dtype": dtype, "endianness": endianness}
    coded = embed(pooling, "a river", encoding_format="base64", **form).json()["data"][0]["embedding"]
    bare = embed(pooling, "a river", encoding_format="bytes", **form)
    assert bare.body == base64.b64decode(coded)
    assert struct.unpack(format_, bare.body) == pytest.approx(plain, abs=1e-3)
    (where,) = json.loads(bare.headers["metadata"])["data"]
    assert (where["start"], where["end"], where["shape"]) == (0, len(bare.body), [8])


def test_scoring(pooling: Simulator) -> None:
    """A text is scored by likeness; a rerank orders documents by it and keeps the best."""
    texts = ["candle machine", "the quiet river"]
    scored = ask(pooling, "POST", "/score", {"text_1": "the quiet river", "text_2": texts}).json()
    scores = [item["score"] for item in scored["data"]]
    assert scores[1] == pytest.approx(1, abs=1e-6)
    assert scores[0] < scores[1]
    for path in ("/rerank", "/v1/rerank", "/v2/rerank"):
        asked = {"query": "the quiet river", "documents": texts, "top_n": 1}
        (best,) = ask(pooling, "POST", path, asked).json()["results"]
        assert best == {
            "index": 1,
            "document": {"text": "the quiet river", "multi_modal": None},
            "relevance_score": scores[1],
        }


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"text_1": ["a", "b"], "text_2": ["c", "d", "e"]}, "Input lengths must be either 1:1, 1:N or N:N"),
        ({"text_1": "a", "text_2": []}, "At least one text_pair element must be given"),
        ({"text_1": "a", "text_2": "b", "model": "no"}, "The model `no` does not exist."),
    ],
)
def test_refused_scoring(pooling: Simulator, body: dict[str, Any], text: str) -> None:
    """Texts that cannot be paired are refused."""
    assert ask(pooling, "POST", "/score", body).error["message"] == text


def test_pooling_route(pooling: Simulator) -> None:
    """/pooling gives the vectors of /v1/embeddings as `data`."""
    (item,) = ask(pooling, "POST", "/pooling", {"input": "a river"}).json()["data"]
    assert item == {"index": 0, "object": "pooling", "data": vectors(pooling, "a river")[0]}


def test_cohere(pooling: Simulator) -> None:
    """Cohere's route gives the same vectors, in several forms at once."""
    asked = {"texts": ["the river"], "embedding_types": ["float", "ubinary", "base64"]}
    answer = ask(pooling, "POST", "/v2/embed", asked).json()
    (vector,) = answer["embeddings"]["float"]
    assert vector == embed(pooling, "the river").json()["data"][0]["embedding"]
    assert answer["embeddings"]["base64"] == [base64.b64encode(struct.pack("<8f", *vector)).decode()]
    assert answer["embeddings"]["ubinary"] == [
        [sum((number >= 0) << (7 - place) for place, number in enumerate(vector))]
    ]
    assert answer["texts"] == ["the river"]
    refused = ask(pooling, "POST", "/v2/embed", {"texts": ["x"], "input_type": "search_query"})
    assert refused.error["message"] == (
        "Unsupported input_type 'search_query'. This model does not define any input_type task instructions."
    )


@pytest.mark.parametrize(
    ("dimensions", "text"),
    [
        (9, "Model 'sim-model' only supports dimensions in range [1, 8], got 9."),
        (3, "Model 'sim-model' only supports Matryoshka dimensions [2, 4], got 3."),
    ],
)
def test_matryoshka(dimensions: int, text: str) -> None:
    """A model trained for it gives shorter unit vectors, of the lengths it was trained for."""
    with Simulator(kind="pooling", dimensions=8, matryoshka_dimensions=(2, 4)) as server:
        whole, cut = (
            embed(server, "the river", **asked).json()["data"][0]["embedding"]
            for asked in ({}, {"dimensions": 2})
        )
        assert (len(whole), len(cut)) == (8, 2)
        assert math.hypot(*cut) == pytest.approx(1)
        assert cut[0] / cut[1] == pytest.approx(whole[0] / whole[1])
        assert embed(server, "the river", dimensions=dimensions).error["message"] == text
