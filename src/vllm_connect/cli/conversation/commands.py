"""The commands of a chat: each takes the conversation and its argument, and returns what comes of it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vllm_connect.cli.conversation.conversation import Conversation, Message
from vllm_connect.cli.failure import Failure
from vllm_connect.cli.image import image_part
from vllm_connect.cli.parameters import parse_option

__all__ = ["COMMANDS", "HELP", "Command", "Outcome", "perform"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The conversation from now on, and what the session does: tell, ask, list models, save, end."""

    conversation: Conversation
    told: str = ""
    question: Message | None = None
    lists_models: bool = False
    saves_to: Path | None = None
    ends: bool = False


@dataclass(frozen=True)
class Command:
    """A command: its name, what it takes, what it does in a few words, and the doing."""

    name: str
    takes: str
    does: str
    perform: Callable[[Conversation, str], Outcome]


def perform(line: str, conversation: Conversation) -> Outcome:
    """Return what comes of a line that begins with a slash; raises Failure.

    Two slashes begin a message whose first character is a slash.
    """
    if line.startswith("//"):
        return Outcome(conversation=conversation, question=conversation.question(line[1:]))
    name, _, argument = line.partition(" ")
    command = next((one for one in COMMANDS if name in {one.name, *_ALIASES.get(one.name, ())}), None)
    if command is None:
        close = difflib.get_close_matches(name, [one.name for one in COMMANDS], n=1)
        hint = f"did you mean {close[0]}?" if close else "/help shows them."
        raise Failure(f"there is no command {name}; {hint} A message that begins with / is typed with //")
    return command.perform(conversation, argument.strip())


def _help(conversation: Conversation, _argument: str) -> Outcome:
    return Outcome(conversation=conversation, told=HELP)


def _system(conversation: Conversation, argument: str) -> Outcome:
    if not argument:
        return Outcome(conversation=conversation, told=conversation.system or "There is no system prompt.")
    return Outcome(conversation=replace(conversation, system=None if argument == "-" else argument))


def _model(conversation: Conversation, argument: str) -> Outcome:
    if not argument:
        return Outcome(conversation=conversation, lists_models=True)
    return Outcome(conversation=replace(conversation, model=argument))


def _set(conversation: Conversation, argument: str) -> Outcome:
    if not argument:
        shown = (f"{key}={json.dumps(value)}" for key, value in conversation.parameters.items())
        return Outcome(conversation=conversation, told="\n".join(shown) or "No parameter is set.")
    try:
        key, value = parse_option(argument)
    except ValueError as problem:
        raise Failure(str(problem)) from None
    parameters = {**conversation.parameters, key: value}
    if value == "":
        del parameters[key]
    return Outcome(conversation=replace(conversation, parameters=parameters))


def _image(conversation: Conversation, argument: str) -> Outcome:
    if not argument:
        raise Failure("name a file or an address: /image cat.png")
    images = (*conversation.images, image_part(argument))
    return Outcome(conversation=replace(conversation, images=images), told="It goes with your next message.")


def _retry(conversation: Conversation, _argument: str) -> Outcome:
    question = _last(conversation)
    return Outcome(conversation=conversation.undone(), question=question)


def _undo(conversation: Conversation, _argument: str) -> Outcome:
    question = _last(conversation)
    return Outcome(conversation=conversation.undone(), told=f"Forgotten: {_excerpt(question)}")


def _clear(conversation: Conversation, _argument: str) -> Outcome:
    cleared = replace(conversation, turns=(), images=(), unanswered=None)
    return Outcome(conversation=cleared, told="The conversation begins anew.")


def _save(conversation: Conversation, argument: str) -> Outcome:
    if not argument:
        raise Failure("name a file: /save chat.json")
    return Outcome(conversation=conversation, saves_to=Path(argument).expanduser())


def _exit(conversation: Conversation, _argument: str) -> Outcome:
    return Outcome(conversation=conversation, ends=True)


def _last(conversation: Conversation) -> Message:
    if conversation.last_question is None:
        raise Failure("nothing has been asked yet")
    return conversation.last_question


def _excerpt(question: Message) -> str:
    content: Any = question["content"]
    text = content if isinstance(content, str) else content[-1]["text"]
    first, _, rest = text.partition("\n")
    return f"{first[:60]} ..." if rest or len(first) > 60 else first  # noqa: PLR2004  # fits a line


COMMANDS = (
    Command("/help", "", "show this", _help),
    Command("/system", "[TEXT]", "show or set the system prompt; - removes it", _system),
    Command("/model", "[NAME]", "list the models, or let another one answer", _model),
    Command("/set", "[KEY=VALUE]", "show or set parameters of the request; KEY= removes one", _set),
    Command("/image", "PATH|URL", "send an image with the next message", _image),
    Command("/retry", "", "ask the last question again", _retry),
    Command("/undo", "", "forget the last question and its answer", _undo),
    Command("/clear", "", "forget the conversation; system prompt and parameters stay", _clear),
    Command("/save", "FILE", "write the conversation as JSON, as a request takes it", _save),
    Command("/exit", "", "end; as do /quit and Ctrl-D", _exit),
)
_ALIASES = {"/exit": ("/quit",)}
_WIDTH = max(len(f"{one.name} {one.takes}") for one in COMMANDS)
HELP = "\n".join(
    [
        *(f"{f'{one.name} {one.takes}':{_WIDTH}}  {one.does}" for one in COMMANDS),
        '"""'.ljust(_WIDTH) + "  begins a message of several lines, which the next one ends",
        "Ctrl-C".ljust(_WIDTH) + "  stops an answer, empties a line; ends at an empty one",
    ]
)
