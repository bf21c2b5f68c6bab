"""Checks of what a server does: its engine, its models, and one good answer of each kind that it serves."""

from __future__ import annotations

import contextlib
import math
import statistics
from collections.abc import Sequence
from typing import Any

import openai

from vllm_connect.checks import Check, Told, explained, fail, failed, ok, skipped, warn
from vllm_connect.doctor.patient import TOKENS, Patient
from vllm_connect.errors import ModelNotChosen
from vllm_connect.explain.rules import told
from vllm_connect.facts import ROUTES, ServedModel, only_base_model
from vllm_connect.facts.names import listed

__all__ = ["WORK"]

# Questions for the time of a way there and back, and how long that may take before it should be known, in seconds.
QUESTIONS = 5
SLOW = 0.5
# How far from 1 the length of a vector may be that is meant to have it.
UNIT = 0.01
# Seconds within which the tokens of no model come, and a time of which all of them can have been held back.
AT_ONCE, LONG = 0.004, 0.1
CHOICE = "yes"
# What vLLM answers where it has no such route.
NO_ROUTE = {"detail": "Not Found"}
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "now",
        "description": "Tells the time.",
        "parameters": {"type": "object", "properties": {}},
    },
}


def engine(patient: Patient) -> Told:
    """Whether the engine lives, and is awake."""
    try:
        lives = patient.client.server.health()
    except openai.NotFoundError:
        return skipped("a gateway hides /health")
    if not lives:
        return explained(told(patient.case("engine dead")))
    if patient.serves("sleep") and patient.client.server.is_sleeping():
        return explained(told(patient.case("asleep")))
    return ok("it lives")


def version(patient: Patient) -> Told:
    """Which release of vLLM it is."""
    facts = patient.facts
    if facts.version is not None:
        return ok(f"vLLM {facts.version}", version=facts.version)
    if facts.is_vllm is False:
        return warn(
            "another kind of server: what is promised of vLLM's own parameters and routes does not hold",
            "Is it the server that you mean? If so, keep to what the OpenAI API has.",
        )
    return warn("not told; a gateway hides /version", "Have the gateway let GET /version through.")


def routes(patient: Patient) -> Told:
    """Which kinds of request it takes."""
    facts = patient.facts
    if facts.serves is None:
        return warn(
            "not told; a gateway hides /openapi.json", "Have the gateway let GET /openapi.json through."
        )
    kinds = {"generate": "generates text", "pooling": "embeds, scores or classifies", None: "takes"}
    served = ", ".join(sorted(facts.serves))
    return ok(f"it {kinds[facts.kind]}: {served}", serves=sorted(facts.serves), kind=facts.kind)


def models(patient: Patient) -> Told:
    """Whether the model that calls name is served."""
    served = patient.facts.models
    names = [model.id for model in served]
    wanted = patient.settings.model
    unserved = sorted({real for real in patient.settings.model_aliases.values() if real not in names})
    try:
        real = patient.settings.model_aliases.get(wanted, wanted) if wanted else None
        patient.served_model = real or only_base_model(served, patient.endpoint.place)
    except ModelNotChosen as error:
        if not names:
            return failed(error)
        patient.served_model = names[0]
        return failed(error)._replace(status="warn")
    if patient.served_model not in names:
        refusal = patient.refusal(patient.served_model)
        if refusal is not None:
            return failed(refusal)
        return warn(
            f"{patient.served_model} is not listed, and answers; listed is {listed(names)}", models=names
        )
    refusal = patient.refusal(unserved[0]) if unserved else None
    if refusal is not None:
        return failed(refusal)._replace(status="warn")
    return ok(listed(names), models=names)


def context(patient: Patient) -> Told:
    """How many tokens a prompt and its answer may have."""
    lengths = {model.id: model.max_model_len for model in _base(patient)}
    if None in lengths.values():
        return warn(
            "not told; a gateway takes max_model_len from the list of models",
            "Have the gateway pass /v1/models on whole.",
        )
    return ok(", ".join(f"{length:,} tokens" for length in dict.fromkeys(lengths.values())), context=lengths)


def _base(patient: Patient) -> tuple[ServedModel, ...]:
    return patient.facts.base_models


def _without(patient: Patient, service: str) -> Told | None:
    """Return why a kind of request is not tried, None where it is."""
    if patient.serves(service) is not False:
        return None
    path = next(route.path for route in ROUTES if route.service == service)
    return skipped(told(patient.case("status", status=404, body=NO_ROUTE, path=path)).explanation)


def chat(patient: Patient) -> Told:
    """One plain chat."""
    answer = patient.chat()
    count = getattr(answer.usage, "completion_tokens", None)
    tokens = "tokens not counted" if count is None else f"{count} tokens"
    return ok(f"{tokens}, finish reason {answer.choices[0].finish_reason}")


def stream(patient: Patient) -> Told:
    """One streamed chat: whether its tokens come one by one, and its end is told."""
    seen = patient.stream
    if seen.chunks >= TOKENS and seen.total - seen.first < AT_ONCE and seen.total > LONG:
        return warn(
            "all chunks came at once: something on the way collects the answer",
            "Switch off buffering in the proxy before the server (nginx: proxy_buffering off).",
        )
    return ok(f"{seen.chunks} chunks, finish reason {seen.finish_reason}")


def latency(patient: Patient) -> Told:
    """How long a way there and back takes, and a first token."""
    times = []
    for _ in range(QUESTIONS):
        began = patient.clock()
        patient.client.models.list()
        times.append(patient.clock() - began)
    usual = statistics.median(times)
    said = f"{usual * 1000:.1f} ms there and back"
    facts: dict[str, Any] = {"round_trip": round(usual, 6)}
    if patient.serves("chat"):
        with contextlib.suppress(openai.OpenAIError):  # the check of the stream has told it
            seen = patient.stream
            said += f", {seen.first * 1000:.0f} ms to a first token"
            facts["first_token"] = round(seen.first, 6)
    return (
        ok(said, **facts)
        if usual < SLOW
        else warn(
            f"{said}: the server or the way to it is busy",
            "Ask it less at once, or look at the network between.",
            **facts,
        )
    )


def embedding(patient: Patient) -> Told:
    """One embedding, whether it is a vector of numbers, and of which length."""
    vector = (
        patient.client.embeddings.create(model=patient.served_model, input="Say hello.").data[0].embedding
    )
    is_numbers = all(isinstance(one, int | float) for one in vector)
    length = math.sqrt(sum(one * one for one in vector)) if is_numbers else math.nan
    if not math.isfinite(length) or length == 0:
        return fail(
            "the vector is not made of numbers, or is zero", "Is the model an embedding model? See its card."
        )
    unit = "of length 1" if abs(length - 1) < UNIT else f"of length {length:.3g}"
    return ok(f"{len(vector)} numbers, {unit}", dimensions=len(vector))


def tools(patient: Patient) -> Told:
    """Whether the model may choose among tools."""
    try:
        patient.chat(tools=[TOOL], tool_choice="auto", max_tokens=1)
    except openai.BadRequestError as error:
        told = failed(error)
        return warn(
            told.said, told.fix or "Start vLLM with --enable-auto-tool-choice --tool-call-parser NAME."
        )
    return ok("tool_choice=auto is taken")


def reasoning(patient: Patient) -> Told:
    """Whether reasoning is told apart from the answer."""
    answer = patient.chat()
    details = getattr(answer.usage, "completion_tokens_details", None)
    if details is not None or getattr(answer.choices[0].message, "reasoning", None) is not None:
        return ok("told apart from the answer")
    return ok("not told apart: a model that thinks has it in its text (--reasoning-parser NAME)")


def structured_output(patient: Patient) -> Told:
    """Whether an answer keeps to what it is held to."""
    held: Any = {"structured_outputs": {"choice": [CHOICE]}}
    answer = patient.chat(extra_body=held, max_tokens=TOKENS)
    message = answer.choices[0].message
    said = message.content
    if not said and getattr(message, "reasoning", None):
        return skipped("not decided: the short answer was all reasoning")
    if isinstance(said, str) and said.strip() == CHOICE:
        return ok("structured_outputs is kept to")
    return warn(
        "structured_outputs was taken and not kept to",
        "vLLM before 0.12 has guided_choice, guided_json, guided_regex in its place.",
    )


def tried(service: str, run: Any) -> Any:
    """Return a check that is skipped where the server does not serve this kind of request."""

    def check(patient: Patient) -> Told:
        told: Told = _without(patient, service) or run(patient)
        return told

    return check


WORK: Sequence[Check[Patient]] = (
    Check("engine", engine, ("key",)),
    Check("version", version, ("key",)),
    Check("routes", routes, ("key",)),
    Check("models", models, ("key",)),
    Check("context", context, ("models",)),
    Check("chat", tried("chat", chat), ("engine", "models")),
    Check("stream", tried("chat", stream), ("chat",)),
    Check("embedding", tried("embeddings", embedding), ("engine", "models")),
    Check("tools", tried("chat", tools), ("chat",)),
    Check("reasoning", tried("chat", reasoning), ("chat",)),
    Check("structured output", tried("chat", structured_output), ("chat",)),
    Check("latency", latency, ("engine", "models")),
)
