"""What the conversational routes share: a chat request checked, rendered, and answered by the model."""

from dataclasses import dataclass

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import Work
from vllm_connect.simulator.model import constraints, sampling
from vllm_connect.simulator.model.generation import Generation, Limits, generate, randomness
from vllm_connect.simulator.model.prompts import chat_prompt, check_messages
from vllm_connect.simulator.model.speech import check_tools, speech
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.requests import parameters
from vllm_connect.simulator.requests.fields import Body


@dataclass(frozen=True)
class Dialogue:
    """A request in the terms of /v1/chat/completions, the tokens of its prompt, and what ends the reply."""

    body: Body
    prompt: list[int]
    limits: Limits
    cached: int
    """How many of the prompt's tokens had been read before."""


def chat_body(given: Body) -> Body:
    """A chat request of these parameters, with the defaults of all others."""
    return {field.name: field.default for field in parameters.CHAT} | given


def opened(body: Body, engine: Engine, limit: str, limit_name: str | None = None) -> Dialogue:
    """Check a chat request and render it; its parameter `limit` bounds the output, shown as `limit_name`."""
    options = engine.options
    check_messages(body["messages"])
    sampling.check_stop(body, options.version)
    constraints.check_count(body)
    engine.check_model(body["model"])
    engine.check_admission(body["n"] or 1)
    check_tools(body, options)
    sampling.check_output_limit(body[limit], limit_name or limit, options)
    sampling.check_truncation(body, options)
    prompt = chat_prompt(body, options)
    room = options.max_model_len - len(prompt)
    limits = sampling.limits(body, room if body[limit] is None else min(room, body[limit]))
    sampling.check(body, limits.max_tokens, options.version)
    salt = body["cache_salt"]
    return Dialogue(body, prompt, limits, engine.prefixes.read(prompt, salt))


def check_in_engine(dialogue: Dialogue, options: Options) -> None:
    """Refuse what the engine refuses, which a stream only learns after its 200."""
    sampling.check_in_engine(dialogue.body, [dialogue.prompt], options)
    constraints.check_in_engine(dialogue.body)


def replies(dialogue: Dialogue, options: Options) -> list[Generation]:
    """What the model says, once for each of `n`."""
    body = dialogue.body
    return [_reply(dialogue, options, index) for index in range(1 if body["n"] is None else body["n"])]


def work(dialogue: Dialogue, generations: list[Generation]) -> Work:
    """What the replies cost the engine."""
    return Work(
        len(generations),
        len(dialogue.prompt),
        sum(len(generation.steps) for generation in generations),
        cached_tokens=dialogue.cached,
        lengths=tuple(len(generation.steps) for generation in generations),
        reasons=tuple(generation.last.finish_reason or "stop" for generation in generations),
        max_tokens=dialogue.limits.max_tokens,
    )


def _reply(dialogue: Dialogue, options: Options, index: int) -> Generation:
    body, prompt = dialogue.body, dialogue.prompt
    random = randomness(prompt, None if sampling.is_greedy(body) else body["seed"], index)
    return generate(speech(body, options, random), dialogue.limits, random)
