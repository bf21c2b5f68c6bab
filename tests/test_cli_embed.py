"""`vllm-connect embed` and `complete`: what they read, ask for, and write."""

from __future__ import annotations

import base64
import json
import math
import struct
from pathlib import Path
from typing import Any

import pytest

from tests.commands import Terminal, run
from vllm_connect import OpenAI
from vllm_connect.simulator import Reply, Simulator

TEXTS = ["one", "two words", "drei"]


def expected(pooling: Simulator) -> list[list[float]]:
    """Return the vectors of TEXTS as the client gives them."""
    with OpenAI(base_url=pooling.url) as client:
        return [entry.embedding for entry in client.embeddings.create(input=TEXTS).data]


def float32(values: list[float]) -> list[float]:
    """Return numbers as float32 holds them."""
    return list(struct.unpack(f"{len(values)}f", struct.pack(f"{len(values)}f", *values)))


def jsonl(text: str) -> list[list[float]]:
    rows = [json.loads(line) for line in text.splitlines()]
    assert [row["index"] for row in rows] == list(range(len(rows)))
    return [row["embedding"] for row in rows]


def document(text: str) -> list[list[float]]:
    whole = json.loads(text)
    assert whole["model"] == "embedder"
    assert whole["usage"]["prompt_tokens"] > 0
    vectors: list[list[float]] = whole["embeddings"]
    return vectors


def csv(text: str) -> list[list[float]]:
    return [[float(number) for number in line.split(",")] for line in text.splitlines()]


@pytest.mark.parametrize(
    ("chosen", "read"),
    [((), jsonl), (("--json",), document), (("--format", "json"), document), (("--format", "csv"), csv)],
)
@pytest.mark.parametrize("size", [1, 2, 32])
def test_formats(pooling: Simulator, chosen: tuple[str, ...], read: Any, size: int) -> None:
    """Every format holds the same float32 numbers to the last bit, in the order of the texts, whatever the batch."""
    given = [part for text in TEXTS for part in ("--text", text)]
    shown = run("embed", pooling.url, *given, "--batch-size", str(size), *chosen)
    assert shown.returncode == 0, shown.stderr
    assert [float32(vector) for vector in read(shown.stdout)] == [float32(one) for one in expected(pooling)]
    asked = [request.json()["input"] for request in pooling.requests if request.path == "/v1/embeddings"][:-1]
    assert [text for batch in asked for text in batch] == TEXTS
    assert max(map(len, asked)) <= size


@pytest.mark.parametrize(
    ("content", "arguments"),
    [
        ("\ufeffone\r\n\ntwo words\ndrei", []),
        ('{"t": "one"}\n\n{"id": 5, "t": "two words"}\n{"t": "drei"}\n', ["--field", "t"]),
    ],
)
def test_sources(pooling: Simulator, tmp_path: Path, content: str, arguments: list[str]) -> None:
    """Texts are lines of a file or of stdin, or a field of JSON lines; empty lines are passed over."""
    (tmp_path / "texts").write_text(content, encoding="utf-8", newline="")
    for given, piped in ((["--file", f"{tmp_path}/texts"], ""), (["--file", "-"], content), ([], content)):
        shown = run("embed", pooling.url, *given, *arguments, stdin=piped)
        assert shown.returncode == 0, shown.stderr
        assert pooling.requests[-1].json()["input"] == TEXTS


@pytest.mark.parametrize(
    ("content", "arguments", "code", "told"),
    [
        (b"", ["--file", "/nowhere"], 1, "/nowhere cannot be read: No such file"),
        (b"ok\n\xff\n", [], 1, "stdin, line 2: not UTF-8"),
        (b"{nope\n", ["--field", "t"], 1, "stdin, line 1: not JSON"),
        (b'{"text": "x", "id": 1}\n', ["--field", "t"], 1, "no field 't'; it has text, id"),
        (b'{"t": 3}\n', ["--field", "t"], 1, "'t' holds int"),
        (b"[1]\n", ["--field", "t"], 1, "it is no object"),
        (b"", ["--text", "a", "--file", "b"], 2, "not both"),
        (b"x", ["-o", "embed_dtype=float16"], 2, "float32"),
        (b"x", ["--json", "--format", "csv"], 2, "--json is --format json"),
        (b"x", ["-o", "dimensions=4"], 1, "Matryoshka"),
    ],
)
def test_wrong_input(pooling: Simulator, content: bytes, arguments: list[str], code: int, told: str) -> None:
    """What cannot be embedded is told with its place."""
    shown = run("embed", pooling.url, *arguments, stdin=content)
    assert (shown.returncode, shown.stdout) == (code, "")
    assert told in " ".join(shown.stderr.split())


NO_VECTORS = "not a vector for each"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ([{"index": 0, "embedding": [0.5]}], "it has 1 of 2 vectors"),
        ([{"index": 0, "embedding": [0.5]}, {"index": 0, "embedding": [0.5]}], NO_VECTORS),
        (
            [
                {"index": 0, "embedding": [0.5]},
                {"index": 1, "embedding": base64.b64encode(struct.pack("f", math.nan)).decode()},
            ],
            NO_VECTORS,
        ),
        ([{"index": 0, "embedding": [0.5]}, {"index": 1, "embedding": []}], NO_VECTORS),
    ],
)
def test_wrong_answers(pooling: Simulator, data: list[object], told: str) -> None:
    """An answer that is not a vector of numbers for each text is an error, not output."""
    body = {
        "object": "list",
        "model": "embedder",
        "data": data,
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    }
    headers = {"content-type": "application/json"}
    pooling.reply_next(Reply(headers=headers, body=json.dumps(body).encode()))
    shown = run("embed", pooling.url, "--model", "embedder", stdin="a\nb\n")
    assert (shown.returncode, shown.stdout) == (1, "")
    assert told in shown.stderr


def test_an_error_on_the_way(pooling: Simulator) -> None:
    """What was embedded before an error is written, and how much that is is told."""
    texts = "\n".join(["short", "short", "long " * 10_000])
    shown = run("embed", pooling.url, "--batch-size", "1", stdin=texts)
    assert len(jsonl(shown.stdout)) == 2
    assert shown.returncode == 1
    assert "stopped after 2 texts" in shown.stderr


def test_terminal(pooling: Simulator) -> None:
    """At a terminal the first numbers of each vector are enough, and texts must be given."""
    with Terminal("embed", pooling.url, "--text", "one") as shown:
        assert shown.exit_code() == 0
        assert "0: 8 numbers, length 1.0000: " in shown.shown
    with Terminal("embed", pooling.url) as shown:
        assert shown.exit_code() == 2
        assert "by --text, by --file, or on stdin" in shown.shown


def test_complete(server: Simulator) -> None:
    """`complete` goes on with -q or stdin, as it is; streams, with the parameters where vLLM reads them."""
    key = {"VLLM_API_KEY": "simulator-key"}
    shown = run("complete", server.url, "-q", "Once", "--max-tokens", "5", "-o", "top_k=2", "--stats", **key)
    body = server.requests[-1].json()
    assert (body["prompt"], body["max_tokens"], body["top_k"], body["stream"]) == ("Once", 5, 2, True)
    assert shown.stdout.strip()
    assert "cut off after 5 tokens" in shown.stderr
    assert "first token after" in shown.stderr
    answer = json.loads(run("complete", server.url, "--json", stdin="  Once\n\n", **key).stdout)
    assert server.requests[-1].json()["prompt"] == "  Once\n"
    assert answer["text"]
    assert answer["usage"]["prompt_tokens"] > 0
    nothing = run("complete", server.url, **key)
    assert nothing.returncode == 2
    assert "by -q, or on stdin" in nothing.stderr
