"""What a simulated server counts and tells: /metrics, caches, usage and load."""

import re
from typing import Any

import pytest

from tests.simulator.simulated import Answer, ask, chat, complete
from vllm_connect.simulator import Simulator

LONG = "word " * 40


def samples(server: Simulator) -> dict[str, float]:
    """Every sample of /metrics, by its name and labels."""
    lines = ask(server, "GET", "/metrics").body.decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def test_counters() -> None:
    """What was read, written and finished is counted, and histograms add up to as many requests."""
    with Simulator(token_delay=0.01) as server:
        usage = [complete(server, max_tokens=limit).json()["usage"] for limit in (1, 100)]
        told = samples(server)
    model = 'engine="0",model_name="sim-model"'
    assert told[f"vllm:prompt_tokens_total{{{model}}}"] == sum(one["prompt_tokens"] for one in usage)
    assert told[f"vllm:generation_tokens_total{{{model}}}"] == sum(one["completion_tokens"] for one in usage)
    for reason in ("length", "stop"):
        assert (
            told[
                f'vllm:request_success_total{{engine="0",finished_reason="{reason}",model_name="sim-model"}}'
            ]
            == 1
        )
    name = "vllm:request_generation_tokens"
    assert told[f"{name}_sum{{{model}}}"] == sum(one["completion_tokens"] for one in usage)
    assert told[f'{name}_bucket{{engine="0",le="1.0",model_name="sim-model"}}'] == 1
    assert (
        told[f'{name}_bucket{{engine="0",le="+Inf",model_name="sim-model"}}']
        == told[f"{name}_count{{{model}}}"]
        == 2
    )
    waits = told[f"vllm:inter_token_latency_seconds_count{{{model}}}"]
    assert told[f"vllm:inter_token_latency_seconds_sum{{{model}}}"] == pytest.approx(waits * 0.01)


def test_exposition(generate: Simulator) -> None:
    """Each family is described, and told by what it is: counters as totals, histograms in buckets."""
    chat(generate, max_tokens=1)
    text = ask(generate, "GET", "/metrics").body.decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert kinds.keys() == set(re.findall(r"^# HELP (\S+) ", text, re.MULTILINE))
    for name in re.findall(r"^([a-z_:]+)\{", text, re.MULTILINE):
        family = name if name in kinds else re.sub(r"_(bucket|count|sum)$", "", name)
        assert name.endswith("_total") or kinds[family] != "counter"
        assert (name != family) == (kinds[family] == "histogram")


def test_requests_by_route() -> None:
    """HTTP requests are counted by route, method and kind of status; those about health and counting are not."""
    with Simulator(api_key="key") as server:
        keyed = {"Authorization": "Bearer key"}
        for path in ("/v1/models", "/v1/responses/no", "/nothing", "/health"):
            ask(server, "GET", path, headers=keyed)
        ask(server, "GET", "/v1/models")
        counted = {
            name: value for name, value in samples(server).items() if name.startswith("http_requests_total")
        }
    assert counted == {
        'http_requests_total{handler="/v1/models",method="GET",status="2xx"}': 1,
        'http_requests_total{handler="/v1/responses/{response_id}",method="GET",status="4xx"}': 1,
        'http_requests_total{handler="none",method="GET",status="4xx"}': 1,
    }


def test_rejections() -> None:
    """What the queue does not hold is counted by the limit that refused it."""
    with Simulator(max_num_queued_reqs=0) as server:
        assert chat(server).status == 503
        told = samples(server)
    assert told['vllm:admission_rejections_total{model_name="sim-model",reason="max_num_queued_reqs"}'] == 1


def cached(answer: Answer) -> int:
    tokens = answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert isinstance(tokens, int)
    return tokens


def test_prefix_cache() -> None:
    """Full blocks of a prompt that was read before are told as cached, not across salts, until they are dropped."""
    with Simulator(enable_prompt_tokens_details=True, block_size=16, dev_mode=True) as server:
        first = complete(server, LONG, max_tokens=1)
        read = first.json()["usage"]["prompt_tokens"]
        assert (cached(first), cached(complete(server, LONG, max_tokens=1))) == (0, (read - 1) // 16 * 16)
        assert cached(complete(server, LONG, max_tokens=1, cache_salt="mine")) == 0
        assert cached(complete(server, LONG + " and more", max_tokens=1)) > 0
        assert samples(server)['vllm:prefix_cache_hits_total{engine="0",model_name="sim-model"}'] > 0
        ask(server, "POST", "/reset_prefix_cache")
        assert cached(complete(server, LONG, max_tokens=1)) == 0


def test_usage_of_all_streams() -> None:
    """A server may tell the usage in every chunk of every stream, asked for or not."""
    with Simulator(enable_force_include_usage=True) as server:
        for events in (chat(server, stream=True).events, complete(server, stream=True).events):
            assert all("usage" in event for event in events)
            assert events[-1]["choices"] == []
            assert events[-2]["usage"]["completion_tokens"] == events[-1]["usage"]["completion_tokens"]


def test_time_in_streams() -> None:
    """The time it took rides on the chunk with the usage, without what is null."""
    with Simulator(enable_per_request_metrics=True) as server:
        last = chat(server, stream=True, stream_options={"include_usage": True}).events[-1]
    assert last["metrics"].keys() == {
        "time_to_first_token_ms", "generation_time_ms", "queue_time_ms", "mean_itl_ms", "tokens_per_second",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ("TEXT", "TEXT named_metrics.num_requests_waiting=0.0, named_metrics.kv_cache_usage_perc=0.0"),
        ("json", 'JSON {"named_metrics": {"num_requests_waiting": 0.0, "kv_cache_usage_perc": 0.0}}'),
        ("XML", None),
    ],
)
def test_load_header(generate: Simulator, wanted: str, shown: str | None) -> None:
    """A caller may ask for the engine's load in a header of the answer."""
    answer = ask(
        generate, "POST", "/v1/completions", {"prompt": "x"}, {"endpoint-load-metrics-format": wanted}
    )
    assert answer.headers.get("endpoint-load-metrics") == shown


def test_rank(generate: Simulator) -> None:
    """There is one engine: any other is refused, in a stream behind the 200; what is no number names none."""
    body = {"prompt": "x", "max_tokens": 1}
    ranked = [
        ask(generate, "POST", "/v1/completions", body, {"X-data-parallel-rank": rank}) for rank in "05x"
    ]
    assert [answer.status for answer in ranked] == [200, 400, 200]
    late = ask(generate, "POST", "/v1/completions", {**body, "stream": True}, {"X-data-parallel-rank": "5"})
    assert late.status == 200
    assert late.events[0]["error"]["message"] == "data_parallel_rank 5 is out of range [0, 1)."


def test_steering(generate: Simulator) -> None:
    """Only allowed tokens come, a deciding bias decides, and what is banned does not come."""
    free = complete(generate, max_tokens=40, return_token_ids=True).json()["choices"][0]
    token = free["token_ids"][3]
    word = free["text"].split()[1]

    def steered(**parameters: Any) -> Any:
        return complete(generate, max_tokens=40, return_token_ids=True, **parameters).json()["choices"][0]

    assert set(steered(allowed_token_ids=[300, 301])["token_ids"]) == {300, 301}
    assert set(steered(logit_bias={"300": 100})["token_ids"]) == {300}
    assert token not in steered(logit_bias={str(token): -100})["token_ids"]
    assert word not in steered(bad_words=[word])["text"].split()


def test_repetition(generate: Simulator) -> None:
    """A pattern that comes too often in a row ends the reply, and a wrong pattern is refused."""
    asked = {"allowed_token_ids": [300], "max_tokens": 40}
    detection = {"max_pattern_size": 2, "min_pattern_size": 1, "min_count": 3}
    answer = complete(generate, **asked, repetition_detection=detection).json()
    (choice,) = answer["choices"]
    assert (choice["finish_reason"], choice["stop_reason"]) == ("repetition", "repetition_detected")
    assert answer["usage"]["completion_tokens"] == 3
    refused = complete(generate, **asked, repetition_detection={"max_pattern_size": 2})
    assert refused.error["message"].startswith("min_count must be >= 2")


def test_beams(generate: Simulator) -> None:
    """A beam search gives as many replies as it is wide, greedy or not."""
    answer = complete(generate, n=2, temperature=0, use_beam_search=True, max_tokens=5).json()
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]


def test_waking_in_parts() -> None:
    """A server that sleeps deeper than a pause goes on when all its parts are back."""
    with Simulator(dev_mode=True) as server:
        ask(server, "POST", "/sleep?level=1")
        state = 'vllm:engine_sleep_state{engine="0",model_name="sim-model",sleep_state="weights_offloaded"}'
        assert samples(server)[state] == 1
        woken = [
            ask(server, "POST", f"/wake_up?tags={tag}").json()["status"] for tag in ("weights", "kv_cache")
        ]
        assert woken == ["sleeping", "awake"]
        assert samples(server)[state] == 0


def test_weights() -> None:
    """Weights have a version that can be changed, and no way to be brought."""
    with Simulator(dev_mode=True) as server:
        ask(server, "POST", "/update_weight_version", {"new_version": "v2"})
        assert ask(server, "GET", "/weight_info").json() == {"weight_version": "v2"}
        refused = ask(server, "POST", "/update_weights", {"update_info": {}})
        assert "weight_transfer_config" in refused.error["message"]
        missing = ask(server, "POST", "/init_weight_transfer_engine", {})
        assert missing.error["param"] == "body.init_info"
