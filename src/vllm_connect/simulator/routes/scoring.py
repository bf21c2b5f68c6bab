"""POST /score, /rerank and their aliases: the likeness of texts by their embeddings."""

import math
import time
from typing import Any

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import RecordedRequest, Routed, Work, json_response
from vllm_connect.simulator.requests import fields, intake
from vllm_connect.simulator.requests.fields import Body
from vllm_connect.simulator.requests.refusals import Refusal, refuse
from vllm_connect.simulator.routes.accounting import duration, usage
from vllm_connect.simulator.routes.embeddings import check_model, embed, pooled_prompt

_PAIRS = (("queries", "documents"), ("queries", "items"), ("data_1", "data_2"), ("text_1", "text_2"))
_MISSING = ("queries", "documents", "queries", "items", "data_1", "data_2", "text_1", "text_2")
_UNEQUAL = Refusal("Input lengths must be either 1:1, 1:N or N:N")
_NO_FIRST = Refusal("At least one text element must be given")
_NO_SECOND = Refusal("At least one text_pair element must be given")

Ids = list[int]


def score(request: RecordedRequest, engine: Engine) -> Routed:
    """Score one text against one or several, or several in pairs."""
    body = intake.read(request, intake.SCORE, engine.options)
    names = next(((one, two) for one, two in _PAIRS if one in body and two in body), None)
    if names is None:
        raise fields.refused([fields.missing(name, request.json()) for name in _MISSING])
    check_model(body["model"], engine)
    firsts, seconds = (_texts(body[name]) for name in names)
    scores, prompted = _scores(firsts, seconds, body, engine)
    content = {
        "id": f"score-{intake.request_id(request, body)}",
        "object": "list",
        "created": int(time.time()),
        "model": engine.options.models[0],
        "data": [{"index": index, "object": "score", "score": score} for index, score in enumerate(scores)],
        "usage": usage(prompted, 0),
    }
    return _answer(content, prompted, len(scores), engine)


def rerank(request: RecordedRequest, engine: Engine) -> Routed:
    """Order documents by their likeness to a query."""
    body = intake.read(request, intake.RERANK, engine.options)
    check_model(body["model"], engine)
    documents = _texts(body["documents"])
    scores, prompted = _scores([body["query"]], documents, body, engine)
    results: list[dict[str, Any]] = [
        {"index": index, "document": {"text": text, "multi_modal": None}, "relevance_score": score}
        for index, (text, score) in enumerate(zip(documents, scores, strict=True))
    ]
    results.sort(key=lambda result: -result["relevance_score"])
    content = {
        "id": f"score-{intake.request_id(request, body)}",
        "model": engine.options.models[0],
        "usage": {"prompt_tokens": prompted, "total_tokens": prompted},
        "results": results[: body["top_n"] or None],
    }
    return _answer(content, prompted, len(documents), engine)


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _scores(firsts: list[str], seconds: list[str], body: Body, engine: Engine) -> tuple[list[float], int]:
    """The scores, and how many tokens were read for them."""
    if not firsts:
        raise refuse(_NO_FIRST)
    if not seconds:
        raise refuse(_NO_SECOND)
    if len(firsts) not in (1, len(seconds)):
        raise refuse(_UNEQUAL)
    read = [[pooled_prompt(text, body, engine.options) for text in texts] for texts in (firsts, seconds)]
    left, right = ([embed(tuple(ids), engine.options.dimensions) for ids in side] for side in read)
    pairs = zip(left * len(right) if len(left) == 1 else left, right, strict=True)
    scores = [math.fsum(a * b for a, b in zip(one, two, strict=True)) for one, two in pairs]
    return scores, sum(len(ids) for side in read for ids in side)


def _answer(content: object, prompted: int, sequences: int, engine: Engine) -> Routed:
    return json_response(content, delay=duration(1, engine.options), work=Work(sequences, prompted))
