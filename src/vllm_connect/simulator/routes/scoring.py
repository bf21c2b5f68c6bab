"""POST /score, /rerank and their aliases: how well texts go together."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import RecordedRequest, Routed, Work, json_response
from vllm_connect.simulator.model.sampling import fit_prompt
from vllm_connect.simulator.model.tokens import BEGIN, END, encode
from vllm_connect.simulator.model.vectors import classify, embed, late_likeness, likeness
from vllm_connect.simulator.options import Options, PoolingTask
from vllm_connect.simulator.requests import intake
from vllm_connect.simulator.requests.fields import Body
from vllm_connect.simulator.requests.refusals import Refusal, refuse
from vllm_connect.simulator.routes.accounting import duration
from vllm_connect.simulator.routes.pooled_input import check_model
from vllm_connect.simulator.routes.pooled_output import Pooled, listed

_UNEQUAL: Final = Refusal("Input lengths must be either 1:1, 1:N or N:N")
_NO_FIRST: Final = Refusal("At least one text element must be given")
_NO_SECOND: Final = Refusal("At least one text_pair element must be given")
_NO_MEDIA: Final = Refusal("MultiModalParam is not supported for BertModel")
_NEGATIVE: Final = Refusal("{name} must be a non-negative integer")
_BEYOND_CONTEXT: Final = Refusal("{name} ({tokens}) must be less than max_model_len ({limit}).")

_SIDES: Final = {
    "ScoreQueriesDocumentsRequest": ("queries", "documents"),
    "ScoreQueriesItemsRequest": ("queries", "items"),
    "ScoreDataRequest": ("data_1", "data_2"),
    "ScoreTextRequest": ("text_1", "text_2"),
}

Ids = tuple[int, ...]


def score(request: RecordedRequest, engine: Engine) -> Routed:
    """Score one text against one or several, or several in pairs."""
    body = intake.read(request, intake.SCORE, engine.options)
    check_model(body["model"], engine)
    firsts, seconds = (_texts(body[name]) for name in _SIDES[body["shape"]])
    scores, work = _scores(firsts, seconds, body, engine.options)
    data = [{"index": index, "object": "score", "score": score} for index, score in enumerate(scores)]
    name = f"score-{intake.request_id(request, body)}"
    return listed(data, Pooled(name, body, work, engine.options))


def rerank(request: RecordedRequest, engine: Engine) -> Routed:
    """Order documents by their likeness to a query."""
    body = intake.read(request, intake.RERANK, engine.options)
    check_model(body["model"], engine)
    documents = _texts(body["documents"])
    scores, work = _scores(_texts(body["query"]), documents, body, engine.options)
    results: list[dict[str, Any]] = [
        {"index": index, "document": {"text": text, "multi_modal": None}, "relevance_score": score}
        for index, (text, score) in enumerate(zip(documents, scores, strict=True))
    ]
    results.sort(key=lambda result: -result["relevance_score"])
    content = {
        "id": f"score-{intake.request_id(request, body)}",
        "model": engine.options.models[0],
        "usage": {"prompt_tokens": work.prompt_tokens, "total_tokens": work.prompt_tokens},
        "results": results[: body["top_n"] or None],
    }
    return json_response(content, delay=duration(1, engine.options), work=work)


def _texts(value: Any) -> list[str]:
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise refuse(_NO_MEDIA)
    return texts


def _scores(firsts: list[str], seconds: list[str], body: Body, options: Options) -> tuple[list[float], Work]:
    """The scores, and what was read for them."""
    if not firsts:
        raise refuse(_NO_FIRST)
    if not seconds:
        raise refuse(_NO_SECOND)
    if len(firsts) not in (1, len(seconds)):
        raise refuse(_UNEQUAL)
    _check_limits(body, options)
    queries = [_limited(text, body["max_tokens_per_query"]) for text in firsts]
    documents = [_limited(text, body["max_tokens_per_doc"]) for text in seconds]
    if options.pooling_task == "classify":
        pairs = _paired(queries, documents)
        prompts = [
            fit_prompt(_marked(one, two), body, options, tokenized=False, reserve=0) for one, two in pairs
        ]
        scores = [
            classify(tuple(ids), 1, activated=body["use_activation"] is not False)[0] for ids in prompts
        ]
        return scores, Work(len(prompts), sum(map(len, prompts)))
    read = [
        [tuple(fit_prompt(_marked(ids), body, options, tokenized=False, reserve=0)) for ids in side]
        for side in (queries, documents)
    ]
    compare = _COMPARISONS[options.pooling_task]
    scores = [compare(one, two, options.dimensions) for one, two in _paired(*read)]
    return scores, Work(len(scores), sum(len(ids) for side in read for ids in side))


def _paired(firsts: list[Any], seconds: list[Any]) -> list[tuple[Any, Any]]:
    return list(zip(firsts * len(seconds) if len(firsts) == 1 else firsts, seconds, strict=True))


def _check_limits(body: Body, options: Options) -> None:
    for name in ("max_tokens_per_query", "max_tokens_per_doc"):
        if body[name] < 0:
            raise refuse(_NEGATIVE, name=name)
        if body[name] >= options.max_model_len:
            raise refuse(_BEYOND_CONTEXT, name=name, tokens=body[name], limit=options.max_model_len)


def _limited(text: str, limit: int) -> list[int]:
    ids = encode(text)
    return ids[:limit] if limit > 0 else ids


def _marked(*texts: list[int]) -> list[int]:
    """Texts with the marks a BERT puts before, between and behind them."""
    (begin,), (end,) = encode(BEGIN), encode(END)
    return [begin, *(token for ids in texts for token in (*ids, end))]


def _by_embedding(one: Ids, two: Ids, dimensions: int) -> float:
    return likeness(embed(one, dimensions), embed(two, dimensions))


def _by_tokens(one: Ids, two: Ids, dimensions: int) -> float:
    return late_likeness(*([embed((token,), dimensions) for token in ids] for ids in (one, two)))


_COMPARISONS: Final[Mapping[PoolingTask, Callable[[Ids, Ids, int], float]]] = {
    "embed": _by_embedding,
    "token_embed": _by_tokens,
}
