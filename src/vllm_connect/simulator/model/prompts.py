"""Prompts: what a request asks, as the tokens the model would see."""

from collections.abc import Mapping, Sequence
from typing import Any

from vllm_connect.simulator.model.sampling import check_text_length, fit_prompt
from vllm_connect.simulator.model.tokens import TURN_BEGIN, TURN_END, encode
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.requests import fields
from vllm_connect.simulator.requests.refusals import Refusal, refuse
from vllm_connect.simulator.requests.shapes import is_token_ids, message_errors, prompt_errors

Body = Mapping[str, Any]

CHAT_TEMPLATE = (
    "{%- if tools %}{{- '<|im_start|>tools\\n' }}"
    "{%- for tool in tools %}{{- tool.function.name + ' ' }}{%- endfor %}{{- '<|im_end|>\\n' }}{%- endif %}"
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' + (message.content or '') + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
"""What `chat_text` does, in the words of a tokenizer's configuration."""

_TEXT_PARTS = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "refusal": "refusal",
    "thinking": "thinking",
}
_MEDIA_PARTS = frozenset(
    (
        "image_url",
        "input_image",
        "image_pil",
        "image_embeds",
        "audio_url",
        "input_audio",
        "audio_embeds",
        "video_url",
        "video_embeds",
    )
)
_UNKNOWN_PART = Refusal("Unsupported chat content part type: '{kind}'. Supported types: {supported}.", "type")
_NOT_MULTIMODAL = Refusal("{model} is not a multimodal model")
_NO_MESSAGES = Refusal("Cannot apply chat template to an empty conversation. Provide at least one message.")


def check_messages(messages: Sequence[Any]) -> None:
    """Refuse messages that are no objects or have no role."""
    if errors := message_errors("messages", messages):
        raise fields.refused(errors)


def chat_text(body: Body, options: Options) -> str:
    """The conversation as the chat template renders it."""
    messages = body["messages"]
    if not messages:
        raise refuse(_NO_MESSAGES)
    turns = [
        f"{TURN_BEGIN}{message['role']}\n{content(message, options)}{TURN_END}\n" for message in messages
    ]
    if body.get("tools"):
        names = " ".join(tool["function"]["name"] for tool in body["tools"])
        turns.insert(0, f"{TURN_BEGIN}tools\n{names}{TURN_END}\n")
    if body.get("continue_final_message"):
        return "".join(turns).removesuffix(f"{TURN_END}\n")
    return "".join(turns) + (f"{TURN_BEGIN}assistant\n" if body["add_generation_prompt"] else "")


def content(message: Mapping[str, Any], options: Options) -> str:
    """A message's text: its parts in lines, its tool calls spelled out."""
    said = message.get("content")
    calls = [str(call.get("function", "")) for call in message.get("tool_calls") or ()]
    if not isinstance(said, list):
        return "\n".join([*([said] if isinstance(said, str) else []), *calls])
    return "\n".join([*(_part_text(part, options) for part in said), *calls])


def chat_prompt(body: Body, options: Options) -> list[int]:
    """The tokens of a conversation, within the context."""
    return text_prompt(chat_text(body, options), body, options)


def text_prompt(text: str, body: Body, options: Options) -> list[int]:
    """The tokens of a text, within the context."""
    check_text_length(text, body, options)
    return fit_prompt(encode(text), body, options, tokenized=False)


def check_prompts(name: str, value: object) -> None:
    """Refuse what is neither a text, nor token ids, nor a list of one of these."""
    if errors := prompt_errors(name, value):
        raise fields.refused(errors)


def prompts(value: Any) -> list[str | list[int]]:
    """One prompt or several, as a list."""
    return [value] if isinstance(value, str) or is_token_ids(value) else list(value)


def _part_text(part: Any, options: Options) -> str:
    if isinstance(part, str):
        return part
    kind = part.get("type")
    if kind in _TEXT_PARTS:
        return str(part.get(_TEXT_PARTS[kind], ""))
    if kind in _MEDIA_PARTS:
        raise refuse(_NOT_MULTIMODAL, model=options.models[0])
    supported = ", ".join(sorted(_MEDIA_PARTS | _TEXT_PARTS.keys() | {"prompt_embeds", "tool_reference"}))
    raise refuse(_UNKNOWN_PART, value=kind, kind=kind, supported=supported)
