"""POST /generative_scoring: how likely the model goes on with one of some tokens."""

import math
import time
from collections.abc import Sequence
from random import Random
from typing import Final

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import RecordedRequest, Routed, Work, json_response
from vllm_connect.simulator.model.generation import randomness
from vllm_connect.simulator.model.sampling import fit_prompt
from vllm_connect.simulator.model.tokens import SIZE, encode
from vllm_connect.simulator.requests import intake
from vllm_connect.simulator.requests.refusals import Refusal, refuse
from vllm_connect.simulator.routes.accounting import duration, usage

_NO_ITEMS: Final = Refusal("items must contain at least one item.")
_NO_LABELS: Final = Refusal("label_token_ids must contain at least one token ID.")
_OUTSIDE: Final = Refusal(
    "label_token_id {token} is out of vocabulary range [0, {size}). Please provide valid token IDs."
)


def answer(request: RecordedRequest, engine: Engine) -> Routed:
    """Score each item behind, or before, a query."""
    body = intake.read(request, intake.GENERATIVE_SCORING, engine.options)
    engine.check_model(body["model"])
    labels: list[int] = body["label_token_ids"]
    if not body["items"]:
        raise refuse(_NO_ITEMS)
    if not labels:
        raise refuse(_NO_LABELS)
    outside = next((token for token in labels if not 0 <= token < SIZE), None)
    if outside is not None:
        raise refuse(_OUTSIDE, token=outside, size=SIZE)
    query, items = _ids(body["query"]), [_ids(item) for item in body["items"]]
    prompts = [item + query if body["item_first"] else query + item for item in items]
    read = [fit_prompt(prompt, body, engine.options, tokenized=True) for prompt in prompts]
    scores = [_score(prompt, labels, among_labels=body["apply_softmax"]) for prompt in read]
    prompted = sum(map(len, read))
    content = {
        "id": f"generative-scoring-{intake.request_id(request, body)}",
        "object": "list",
        "created": int(time.time()),
        "model": engine.answering_model(body["model"]),
        "data": [{"index": index, "object": "score", "score": score} for index, score in enumerate(scores)],
        "usage": usage(prompted, len(read)),
    }
    work = Work(len(read), prompted, len(read))
    return json_response(content, delay=duration(1, engine.options), work=work)


def _ids(given: str | list[int]) -> list[int]:
    return encode(given) if isinstance(given, str) else given


def _score(prompt: Sequence[int], labels: Sequence[int], *, among_labels: bool) -> float:
    """The probability of the first label: among the labels, or among all tokens."""
    weights = [math.exp(_logit(randomness(prompt, token))) for token in labels]
    # On average a token that is no label weighs as much as one of a standard normal logit.
    others = 0.0 if among_labels else (SIZE - len(labels)) * math.exp(0.5)
    return weights[0] / (math.fsum(dict(zip(labels, weights, strict=True)).values()) + others)


def _logit(random: Random) -> float:
    return random.gauss()
