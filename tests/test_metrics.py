"""`client.server.metrics()`: Prometheus' text as samples, and the readings over them, in every release's names."""

from __future__ import annotations

import contextlib
import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.callers import Caller, every_kind
from vllm_connect.client.server import Metrics, Sample
from vllm_connect.client.server.exposition import LARGEST_TEXT, parse_samples
from vllm_connect.client.server.metrics import read_metrics
from vllm_connect.simulator import Simulator

NAMES = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,20}", fullmatch=True)
LABEL_NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,10}", fullmatch=True)
SAMPLES = st.builds(
    Sample,
    name=NAMES,
    labels=st.dictionaries(LABEL_NAMES | st.text(min_size=1, max_size=5), st.text(max_size=20), max_size=4),
    value=st.floats(allow_nan=False) | st.integers(-(10**15), 10**15).map(float),
)
SPACES = st.sampled_from(["", " ", "\t", "  "])


@st.composite
def written(draw: Any, sample: Sample) -> str:
    """Write a sample as some exporter could."""
    space = draw(SPACES)

    def quoted(text: str) -> str:
        for character, escaped in (("\\", r"\\"), ('"', r"\""), ("\n", r"\n")):
            text = text.replace(character, escaped)
        return f'"{text}"'

    def label(name: str) -> str:
        plain = name.isascii() and name.isidentifier()
        return name if plain and draw(st.booleans()) else quoted(name)

    pairs = [f"{label(name)}{space}={space}{quoted(value)}" for name, value in sample.labels.items()]
    name = sample.name
    if draw(st.booleans()):
        pairs, name = [quoted(name), *pairs], ""
    comma = draw(st.sampled_from(["", ","])) if pairs else ""
    labels = f"{{{space}{f'{space},{space}'.join(pairs)}{space}{comma}{space}}}" if pairs else ""
    value = {math.inf: "+Inf", -math.inf: "-Inf"}.get(sample.value, repr(sample.value))
    after = draw(st.sampled_from(["", " 1700000000000", ' # {trace_id="a b"} 0.5 1.0', " 17 # {} 1", "\r"]))
    return f"{space}{name}{space if labels else ''}{labels}{space or ' '}{value}{after}"


@given(st.data(), st.lists(SAMPLES, max_size=5))
def test_round_trip(data: Any, samples: list[Sample]) -> None:
    """What is written in the format is read as it was, whatever labels hold and however it is spaced."""
    lines = [data.draw(written(sample)) for sample in samples]
    lines = [line for text in lines for line in ("# HELP a b", text, "", "  # a comment")]
    assert parse_samples("\n".join(lines)) == tuple(samples)


@given(st.text() | st.text(alphabet='ab{}",= \\\n#1', max_size=60))
def test_any_text(text: str) -> None:
    """Any text is read, or refused by ValueError alone."""
    with contextlib.suppress(ValueError):
        parse_samples(text)


@pytest.mark.parametrize(
    ("line", "sample"),
    [
        ("a 1", Sample("a", {}, 1)),
        ("a{} 1", Sample("a", {}, 1)),
        ('a{b="c",} 1e-3', Sample("a", {"b": "c"}, 0.001)),
        (r'a{b="\"\\\n\x"} 1', Sample("a", {"b": '"\\\n\\x'}, 1)),
        ('a_bucket{le="+Inf"} 3', Sample("a_bucket", {"le": "+Inf"}, 3)),
        ('a{b="x\u2028y"} -Inf', Sample("a", {"b": "x\u2028y"}, -math.inf)),
        ('{"my.metric","my.label"="c"} 1', Sample("my.metric", {"my.label": "c"}, 1)),
        ('a{b="}"} 2 1700000000', Sample("a", {"b": "}"}, 2)),
    ],
)
def test_lines(line: str, sample: Sample) -> None:
    """One line, one sample."""
    assert parse_samples(line) == (sample,)


def test_not_a_number() -> None:
    """NaN is a value."""
    assert math.isnan(parse_samples("a NaN")[0].value)


@pytest.mark.parametrize(
    "text",
    [
        "<html>",
        "{}",
        '{"detail":"Not Found"}',
        "a",
        "a b",
        "a 1_000",
        "a{b} 1",
        'a{b="c} 1',
        'a{"b"} 1',
        '{"a","b"} 1',
        "{} 1",
        "1 a",
        "a 1 b",
        "a 1\nb",
    ],
)
def test_what_is_not_the_format(text: str) -> None:
    """One line that is none refuses the whole: a page of a gateway, a text that was cut."""
    with pytest.raises(ValueError, match=r"no sample|not one name|could not convert"):
        parse_samples(text)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 10**6,
        "a{" + " " * 10**6,
        "a{" + 'b="c",' * 10**5,
        'a{b="' + "\\\\" * 10**6,
        "a{b=" + " \t" * 10**6 + "}",
        "a 1" + " " * 10**6 + "x",
        "a 1 " + "1" * 10**6 + "x",
    ],
)
def test_hostile_lines(text: str) -> None:
    """A line made to be looked at again and again is refused in linear time."""
    started = time.monotonic()
    with pytest.raises(ValueError):  # noqa: PT011  # whichever
        parse_samples(text)
    assert time.monotonic() - started < 2


def test_huge_text() -> None:
    """A text beyond all reason is refused before it is read."""
    with pytest.raises(ValueError, match="more than"):
        parse_samples("a 1\n" * (LARGEST_TEXT // 4 + 1))


TWO_ENGINES = """
vllm:num_requests_running{engine="0",model_name="m"} 2.0
vllm:num_requests_running{engine="1",model_name="m"} 3.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.75
vllm:prefix_cache_queries_total{engine="0",model_name="m"} 8.0
vllm:prefix_cache_hits_total{engine="0",model_name="m"} 2.0
vllm:request_success_total{engine="0",finished_reason="stop",model_name="m"} 4.0
vllm:request_success_total{engine="0",finished_reason="length",model_name="m"} 5.0
vllm:iteration_tokens_total_bucket{engine="0",le="1.0",model_name="m"} 7.0
"""


def test_readings() -> None:
    """Counts are summed over engines, the use of the cache is their mean, and what is not there is None."""
    metrics = read_metrics(TWO_ENGINES)
    assert metrics == Metrics(
        running=5,
        kv_cache_usage=0.5,
        prefix_cache_queries=8,
        prefix_cache_hits=2,
        finished=9,
        samples=metrics.samples,
    )
    assert (metrics.waiting, metrics.prefix_cache_hit_rate, len(metrics.samples)) == (None, 0.25, 9)
    assert "samples" not in repr(metrics)


@pytest.mark.parametrize(
    ("text", "usage", "queries"),
    [
        ("vllm:gpu_cache_usage_perc 0.5\nvllm:gpu_prefix_cache_queries_total 3", 0.5, 3),
        ("vllm:gpu_cache_usage_perc 0.5\nvllm:kv_cache_usage_perc 0.5", 0.5, None),
        ("vllm:kv_cache_usage_perc NaN\nvllm:prefix_cache_queries_total Inf", None, None),
        ("process_open_fds 3", None, None),
    ],
)
def test_names_of_releases(text: str, usage: float | None, queries: int | None) -> None:
    """A reading has its value by the name of any release; no number is no reading."""
    metrics = read_metrics(text)
    assert (metrics.kv_cache_usage, metrics.prefix_cache_queries) == (usage, queries)
    assert metrics.prefix_cache_hit_rate is None


@every_kind
def test_metrics(caller: Caller, server: Simulator) -> None:
    """A served request moves the counters."""
    given = {"base_url": server.url, "api_key": "simulator-key"}
    before = caller.run(lambda client: client.server.metrics(), **given)
    answer = caller.run(lambda client: client.completions.create(prompt="Once", max_tokens=5), **given)
    after = caller.run(lambda client: client.server.metrics(), **given)
    assert isinstance(after, Metrics)
    assert after.generation_tokens - before.generation_tokens == answer.usage.completion_tokens
    assert after.prompt_tokens - before.prompt_tokens == answer.usage.prompt_tokens
    assert (after.running, after.waiting, after.kv_cache_usage) == (0, 0, 0)
