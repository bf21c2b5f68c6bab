"""Classification, token by token pooling, and scores of simulated pooling models."""

import base64
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulator.simulated import Answer, ask
from vllm_connect.simulator import Simulator


def post(server: Simulator, path: str, **body: Any) -> Answer:
    return ask(server, "POST", path, body)


@pytest.fixture(scope="module")
def classifier() -> Iterator[Simulator]:
    with Simulator(kind="pooling", pooling_task="classify", labels=("bad", "so-so", "good")) as server:
        yield server


def test_classes(classifier: Simulator) -> None:
    """Each text gets probabilities that add up to one, and the label of the greatest; the same text, the same ones."""
    answer = post(classifier, "/classify", input=["a fine day", "a fine day", "rain"]).json()
    first, again, other = answer["data"]
    assert first["probs"] == again["probs"] != other["probs"]
    assert sum(first["probs"]) == pytest.approx(1)
    assert first["label"] == ("bad", "so-so", "good")[first["probs"].index(max(first["probs"]))]
    assert (first["index"], other["index"], first["num_classes"]) == (0, 2, 3)
    assert answer["id"].startswith("classify-")
    assert answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"] > 0


def test_classes_without_activation(classifier: Simulator) -> None:
    """Without the activation come the bare numbers, of the same label."""
    probs, bare = (
        post(classifier, "/classify", input="a fine day", use_activation=activated).json()["data"][0]
        for activated in (True, False)
    )
    assert bare["label"] == probs["label"]
    assert sum(bare["probs"]) != pytest.approx(1)


@pytest.mark.parametrize(
    ("task", "shape"),
    [("embed", (8,)), ("token_embed", (4, 8)), ("classify", (2,)), ("token_classify", (4, 2))],
)
def test_tasks(task: Any, shape: tuple[int, ...]) -> None:
    """The task of a model says whether /pooling gives one vector for a text or one for each token."""
    with Simulator(kind="pooling", pooling_task=task, labels=("no", "yes"), dimensions=8) as server:
        (item,) = post(server, "/pooling", input="the river").json()["data"]
        (packed,) = post(server, "/pooling", input="the river", encoding_format="base64").json()["data"]
    rows = item["data"] if len(shape) == 2 else [item["data"]]
    assert (len(rows), len(rows[0])) == (shape if len(shape) == 2 else (1, *shape))
    numbers = [number for row in rows for number in row]
    assert list(struct.unpack(f"<{len(numbers)}f", base64.b64decode(packed["data"]))) == numbers


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"task": "token_embed"},
         "Try switching the model's pooling_task via --pooler-config.task token_embed. (parameter=task)"),
        ({"task": "classify"},
         "Unsupported task: 'classify' Supported tasks: ['embed', 'token_embed'] (parameter=task)"),
        ({"task": "score"}, "`score` task was removed; use `classify` instead. (parameter=task)"),
        ({"dimensions": 2}, "dimensions is currently not supported (parameter=dimensions)"),
    ],
)  # fmt: skip
def test_refused_task(pooling: Simulator, body: dict[str, Any], text: str) -> None:
    """A task that is not the model's is refused with what would bring it."""
    assert post(pooling, "/pooling", input="x", **body).error["message"] == text


@pytest.mark.parametrize("task", ["embed", "token_embed", "classify"])
def test_scores(task: Any) -> None:
    """Texts are scored by embeddings, by their tokens, or by a classifier of one label; a rerank has the same order."""
    texts = ["the river runs", "a stone", "rivers run"]
    with Simulator(kind="pooling", pooling_task=task, labels=("LABEL_0",)) as server:
        scored = post(server, "/score", text_1="the river runs", text_2=texts).json()
        ranked = post(server, "/rerank", query="the river runs", documents=texts).json()
    scores = [item["score"] for item in scored["data"]]
    assert [result["relevance_score"] for result in ranked["results"]] == sorted(scores, reverse=True)
    if task != "classify":
        assert scores[0] == max(scores)


def test_score_limits(pooling: Simulator) -> None:
    """A query and a document are cut where it is asked for, and a limit beyond the context is refused."""
    long = "the river is old"
    whole, cut = (
        post(pooling, "/score", text_1=long, text_2="x", **limit).json()["usage"]["prompt_tokens"]
        for limit in ({}, {"max_tokens_per_query": 1})
    )
    assert whole - cut == 3
    refused = post(pooling, "/score", text_1=long, text_2="x", max_tokens_per_doc=4096)
    assert refused.error["message"] == "max_tokens_per_doc (4096) must be less than max_model_len (4096)."


def test_refused_shapes(pooling: Simulator) -> None:
    """A body that fits none of its shapes is refused with what each of them misses."""
    text = post(pooling, "/score", text_1="x").error["message"]
    assert text.startswith("7 validation errors:\n  {'type': 'missing', 'loc': 'body.queries',")
    assert text.count("'missing'") == 7


@pytest.mark.parametrize(
    ("dtype", "codes"),
    [
        (
            "fp8_e4m3",
            {1.0: 0x38, -1.0: 0xB8, 0.0: 0x00, 0.0625: 0x18, 448.0: 0x7E, 0.001953125: 0x01, 1.0625: 0x38},
        ),
        ("fp8_e5m2", {1.0: 0x3C, -1.0: 0xBC, 0.5: 0x38, 57344.0: 0x7B, 1.125: 0x3C, 1.375: 0x3E}),
    ],
)
def test_eight_bit_floats(dtype: str, codes: dict[float, int]) -> None:
    """Numbers of eight bits have the codes that torch gives them, ties rounded to even."""
    from vllm_connect.simulator.model.vectors import packed  # noqa: PLC0415

    assert packed(tuple(codes), dtype, "native") == bytes(codes.values())
