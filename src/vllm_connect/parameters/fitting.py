"""`fit`: whether an answer has room in the context, by the server's own count of the prompt; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from vllm_connect.errors import ParameterRefused
from vllm_connect.facts.parameters import RequestKind

__all__ = ["Fit", "question_of", "room_for"]

Fit = Literal["off", "clamp", "error"]
# The fields of a chat that make its prompt, which /tokenize takes too.
OF_THE_PROMPT = (
    "tools",
    "chat_template",
    "chat_template_kwargs",
    "add_generation_prompt",
    "continue_final_message",
    "add_special_tokens",
)
LIMITS = ("max_completion_tokens", "max_tokens")


def question_of(kind: RequestKind, body: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what /tokenize is asked for a request, None where it has nothing to count: several prompts, tokens."""
    model = {"model": body["model"]} if isinstance(body.get("model"), str) else {}
    if kind == "chat" and isinstance(body.get("messages"), list):
        more = {name: body[name] for name in OF_THE_PROMPT if body.get(name) is not None}
        return {"messages": body["messages"], **more, **model}
    if kind == "completions" and isinstance(body.get("prompt"), str):
        return {"prompt": body["prompt"], **model}
    return None


def room_for(body: Mapping[str, Any], prompt: int, context: int, fit: Fit, server: str) -> dict[str, int]:
    """Return the limits on the answer that change, for a prompt of that many tokens in a context of that many.

    Raises ParameterRefused where the prompt leaves no room, and with "error" where it leaves too little.
    """
    room = context - prompt
    if room < 1:
        raise ParameterRefused(
            f"The prompt has {prompt} tokens and the context of {server} is {context}: there is no room for an answer. "
            "Shorten the prompt, or cut it with truncate_prompt_tokens.",
            server=server,
            parameters=("messages" if "messages" in body else "prompt",),
        )
    name = next((one for one in LIMITS if isinstance(body.get(one), int)), None)
    if name is None or body[name] <= room:
        return {}
    if fit == "clamp":
        return {name: room}
    raise ParameterRefused(
        f"The prompt has {prompt} tokens; of the context of {server}, {context}, that leaves {room}, and {name} is "
        f'{body[name]}. Lower it, or let fit="clamp" do that.',
        server=server,
        parameters=(name,),
    )
