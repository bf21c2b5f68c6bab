"""Each request looked over before it leaves: typed parameters put in their place, doubtful ones judged by the server.

A request without anything doubtful costs a look at its names. One that holds something is judged by what the server is
(`dialect`, kept for a client and its copies); where that is not known yet, the call goes the SDK's way, on which the
server is asked under the call's own deadline.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Generator, Iterable, Mapping
from functools import cache
from typing import Any

import openai
from openai.resources import completions, embeddings
from openai.resources.chat import completions as chat_completions

from vllm_connect.discovery import Ask, Reply, discover_dialect
from vllm_connect.dispatch import Call
from vllm_connect.errors import ModelNotChosen, ParameterRefused, explained_as
from vllm_connect.facts import ServerFacts, only_base_model
from vllm_connect.facts.parameters import PATHS, SETTLED, TABLE, RequestKind, taken
from vllm_connect.facts.thinking import family_of
from vllm_connect.parameters import (
    Adaptation,
    Verdict,
    folded,
    has_old_reasoning,
    is_doubtful,
    looked_over,
    nearest,
    question_of,
    room_for,
    template_kwargs,
)

__all__ = [
    "arguments",
    "as_fitted",
    "as_judged",
    "asking",
    "asking_seconds",
    "counting",
    "is_away",
    "remember",
    "reviewed",
    "wants_dialect",
]

log = logging.getLogger("vllm_connect")

# What a server is, is worth no longer wait; what it was is asked again after a while, as servers are upgraded.
ASKING_SECONDS = 5.0
REMEMBERED_SECONDS = 600.0
# A server that did not tell is not asked again at once.
PAUSE_SECONDS = 300.0
KINDS: Mapping[str, RequestKind] = {path: kind for kind, path in PATHS.items()}
CREATES: Mapping[str, Any] = {
    "chat": chat_completions.Completions.create,
    "completions": completions.Completions.create,
    "embeddings": embeddings.Embeddings.create,
}
OPTIONS = frozenset({"extra_headers", "extra_query", "extra_body", "timeout", "timeouts"})
ABSENT = (openai.Omit, openai.NotGiven)
# Under which name `thinking=` travels in a body on the SDK's way until the model is known; it never leaves.
THINKING = "vllm_connect.thinking"
ENCODINGS = ("embed_dtype", "endianness")


class _Names:
    """The keywords of one `create()`, by what has to be done about them."""

    def __init__(self, kind: RequestKind) -> None:
        # Of the SDK's own method, in the release that is installed; a tracer may have put one in its place that takes
        # anything.
        taken_by_sdk = frozenset(inspect.signature(CREATES[kind]).parameters) - {"self"}
        of_openai = frozenset(one.name for one in TABLE[kind].values() if one.origin == "OpenAI")
        self.of_sdk = taken_by_sdk if "model" in taken_by_sdk else of_openai | OPTIONS
        # vLLM's own, beside those.
        self.typed = taken(kind)
        # Those of which nothing but the value of extra_body needs a look: the SDK takes them, and every vLLM reads them.
        self.plain = (self.of_sdk & SETTLED[kind]) | OPTIONS
        # Those that only have to be put in their place.
        self.settled = SETTLED[kind] - (frozenset(ENCODINGS) if kind == "embeddings" else frozenset())
        self.movable = (self.typed & self.settled) - self.of_sdk


@cache
def _names_of(kind: RequestKind) -> _Names:
    return _Names(kind)


# -- arguments of `create()`


def arguments(client: Any, kind: RequestKind, given: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return the arguments of a call as the SDK takes them, and whether all is known that decides about them.

    vLLM's own parameters go to `extra_body`. Raises TypeError for what neither knows, with the nearest name, and
    ParameterRefused.
    """
    names, settings = _names_of(kind), client._settings
    if (
        settings.fit == "off"
        and settings.system_roles == "keep"
        and not has_old_reasoning(given.get("messages"))
    ):
        extra = given.get("extra_body")
        if extra is None or (type(extra) is dict and names.settled.issuperset(extra)):
            if names.plain.issuperset(given):
                return given, True
            others = [name for name in given if name not in names.plain]
            if names.movable.issuperset(others):
                moved = {name: value for name in others if type(value := given.pop(name)) not in ABSENT}
                given["extra_body"] = moved if extra is None else {**moved, **extra}
                return given, True
    given = _with_typed(kind, given)
    if kind == "embeddings":
        _decode_right(given)
    elif settings.fit != "off":
        return given, False
    extra = given.get("extra_body")
    if extra is not None and not isinstance(extra, Mapping):
        return given, True  # the SDK says best what is wrong with it
    body = {
        name: value
        for name, value in {**given, **(extra or {})}.items()
        if name not in OPTIONS and not isinstance(value, ABSENT)
    }
    if not _is_reviewed(client, kind, body):
        return given, True
    if wants_dialect(client, kind, body):
        return given, False
    drops, puts = judged_body(client, kind, body, client._catalogue.dialect)
    return (_rewritten(kind, given, drops, puts) if drops or puts else given), True


def _with_typed(kind: RequestKind, given: dict[str, Any]) -> dict[str, Any]:
    names = _names_of(kind)
    known = names.of_sdk | OPTIONS
    others = [name for name in given if name not in known]
    if not others:
        return dict(given)
    typed = {}
    for name in others:
        if name == "thinking" and kind == "chat":
            typed[THINKING] = given[name]
        elif name in names.typed:
            typed[name] = given[name]
        else:
            raise TypeError(_unknown(kind, name))
    rest = {name: value for name, value in given.items() if name in known}
    typed = {name: value for name, value in typed.items() if not isinstance(value, ABSENT)}
    thinking = typed.get(THINKING)
    if thinking is None:
        typed.pop(THINKING, None)
    elif not isinstance(thinking, bool):
        raise TypeError(f"`thinking` takes True or False, not {type(thinking).__name__}.")
    extra = rest.get("extra_body")
    if extra is None or isinstance(extra, Mapping):
        # As with the SDK, what stands in extra_body goes before.
        rest["extra_body"] = {**typed, **(extra or {})}
    return rest


def _unknown(kind: RequestKind, name: str) -> str:
    says = f"Completions.create() got an unexpected keyword argument {name!r}."
    if kind == "embeddings":
        says = says.replace("Completions", "Embeddings", 1)
    row = TABLE[kind].get(name)
    if row is not None and row.replaced_by:
        return f"{says} Use {row.replaced_by}."
    more = {"thinking"} if kind == "chat" else set()
    hint = nearest(name, _names_of(kind).of_sdk | _names_of(kind).typed | more)
    return f"{says}{hint}" if hint else f"{says} A parameter of the server's alone goes in extra_body."


def _decode_right(given: dict[str, Any]) -> None:
    """Ask for numbers as JSON where their encoding is the caller's: the SDK's own base64 is read as float32."""
    extra = given.get("extra_body")
    if not isinstance(extra, Mapping) or "encoding_format" in extra:
        return
    is_own = any(extra.get(name) not in (None, "float32", "native") for name in ENCODINGS)
    if is_own and isinstance(given.get("encoding_format", openai.omit), ABSENT):
        given["encoding_format"] = "float"


def _rewritten(
    kind: RequestKind, given: dict[str, Any], drops: Iterable[str], puts: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments with a verdict carried out: in their place where the SDK takes them, else in extra_body."""
    gone = {*drops, *puts}
    extra = {name: value for name, value in (given.get("extra_body") or {}).items() if name not in gone}
    given = {name: value for name, value in given.items() if name not in gone}
    for name, value in puts.items():
        (given if name in _names_of(kind).of_sdk else extra)[name] = value
    given["extra_body"] = extra or None
    return given


# -- a body, whichever way it goes


def kind_of(options: Any) -> RequestKind | None:
    """Return the kind of a request on the SDK's way, None for one that is not looked over."""
    if options.method.lower() != "post" or not isinstance(options.json_data, Mapping):
        return None
    return KINDS.get(options.url)


def _is_reviewed(client: Any, kind: RequestKind, body: Mapping[str, Any]) -> bool:
    """Whether anything of a body is to be looked at."""
    settings = client._settings
    if settings.system_roles == "fold" or THINKING in body:
        return True
    return settings.parameters != "off" and not settings.endpoint.is_openai and is_doubtful(kind, body)


def _without(body: Mapping[str, Any], dropped: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != dropped}


def wants_dialect(client: Any, kind: RequestKind, body: Mapping[str, Any]) -> bool:
    """Whether the server has to be asked what it is, before this body is judged."""
    catalogue, settings = client._catalogue, client._settings
    if settings.endpoint.is_openai:
        return False
    is_judged = settings.parameters != "off" and is_doubtful(kind, _without(body, THINKING))
    if not is_judged and not (THINKING in body and family_of(_named(client, body)) is None):
        return False
    age = client._clock() - catalogue.dialect_from
    return bool(age > (PAUSE_SECONDS if catalogue.dialect is None else REMEMBERED_SECONDS))


def reviewed(client: Any, options: Any) -> tuple[RequestKind, dict[str, Any]] | None:
    """Return kind and body of a request on the SDK's way that is to be looked over, None for any other."""
    kind = kind_of(options)
    if kind is None:
        return None
    extra = options.extra_json if isinstance(options.extra_json, Mapping) else {}
    body = {
        name: value for name, value in {**options.json_data, **extra}.items() if not isinstance(value, ABSENT)
    }
    fits = client._settings.fit != "off" and kind in ("chat", "completions")
    return (kind, body) if fits or _is_reviewed(client, kind, body) else None


def _changed(options: Any, drops: Iterable[str], puts: Mapping[str, Any]) -> Any:
    """Return the SDK's options of a request with a verdict carried out."""
    gone = {*drops, *puts}
    changed = options.model_copy()
    changed.json_data = {
        **{name: value for name, value in options.json_data.items() if name not in gone},
        **puts,
    }
    if options.extra_json:
        changed.extra_json = {name: value for name, value in options.extra_json.items() if name not in gone}
    return changed


def as_judged(
    client: Any, kind: RequestKind, body: dict[str, Any], options: Any
) -> tuple[Any, dict[str, Any]]:
    """Return options and body of a request on the SDK's way, as the server understands them."""
    drops, puts = judged_body(client, kind, body, client._catalogue.dialect)
    if not drops and not puts:
        return options, body
    body = {**{name: value for name, value in body.items() if name not in drops}, **puts}
    return _changed(options, drops, puts), body


def counting(client: Any, kind: RequestKind, body: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what `client.server.tokenize` is asked for a request that has to fit, None where nothing is asked."""
    if client._settings.fit == "off" or client._settings.endpoint.is_openai:
        return None
    question = question_of(kind, body)
    if question is None:
        return None
    own: dict[str, Any] = {
        name: question.pop(name) for name in ("prompt", "messages", "model") if name in question
    }
    return {**own, "extra_body": question}


def as_fitted(
    client: Any, kind: RequestKind, body: Mapping[str, Any], options: Any, counted: tuple[int, int] | None
) -> Any:
    """Return a request whose answer has room in the context; raises ParameterRefused."""
    settings = client._settings
    server = str(settings.endpoint)
    if counted is None:
        text = f'{server} does not count tokens (/tokenize): fit="{settings.fit}" has no effect there.'
        note(client, Adaptation(kind, "fit", "not fitted", "", text))
        return options
    puts = room_for(body, *counted, settings.fit, server)
    for name in puts:
        text = f"{name} was lowered to what the context of {server} has left after the prompt."
        note(client, Adaptation(kind, name, "fitted", name, text))
    return _changed(options, (), puts) if puts else options


def judged_body(
    client: Any, kind: RequestKind, body: dict[str, Any], facts: ServerFacts | None
) -> tuple[frozenset[str], dict[str, Any]]:
    """Return what is dropped from a body and what is put into it; logs what is new, raises ParameterRefused."""
    settings = client._settings
    drops: set[str] = set()
    puts: dict[str, Any] = {}
    if settings.system_roles == "fold":
        messages = folded(body.get("messages"))
        if messages is not None:
            body = {**body, "messages": messages}
            puts["messages"] = messages
            text = "`developer` and late system messages were folded into one system message at the start."
            note(client, Adaptation(kind, "messages", "folded", "messages", text))
    if THINKING in body:
        wanted = body[THINKING]
        body = _without(body, THINKING)
        drops.add(THINKING)
        names = _names(client, body, facts)
        kwargs = template_kwargs(
            body.get("chat_template_kwargs"), names, str(settings.endpoint), wanted=wanted
        )
        if kwargs is not None:
            body["chat_template_kwargs"] = puts["chat_template_kwargs"] = kwargs
    verdict = _verdict(client, kind, body, facts)
    if verdict.refused:
        server = str(settings.endpoint)
        refusal = ParameterRefused(
            f"{verdict.reason} {verdict.fix}", server=server, parameters=verdict.refused
        )
        raise explained_as(refusal, verdict.reason, verdict.fix)
    for adaptation in verdict.adaptations:
        note(client, adaptation)
    return frozenset(drops | verdict.drops), {**puts, **verdict.puts}


def _verdict(client: Any, kind: RequestKind, body: Mapping[str, Any], facts: ServerFacts | None) -> Verdict:
    settings = client._settings
    if settings.endpoint.is_openai:
        return Verdict()
    return looked_over(kind, body, facts, settings.parameters)


def _named(client: Any, body: Mapping[str, Any]) -> str | None:
    """Return the model that a request or the settings name, by its served name; None for neither."""
    settings = client._settings
    name = body.get("model")
    if not isinstance(name, str):
        name = settings.model
    return None if name is None else settings.model_aliases.get(name, name)


def _names(client: Any, body: Mapping[str, Any], facts: ServerFacts | None) -> tuple[str | None, ...]:
    """Return the names of the model that a request is for: as it is served, and as it was loaded."""
    settings, models = client._settings, client._catalogue.models or (facts.models if facts else ())
    name = _named(client, body)
    if name is None:
        try:
            name = only_base_model(models, settings.endpoint.origin)
        except ModelNotChosen:
            return ("(left out)",)
    served = next((one for one in models if one.id == name), None)
    return (name, *(() if served is None else (served.root, served.parent)))


def note(client: Any, adaptation: Adaptation) -> None:
    """Keep an adaptation, and log the first of its kind."""
    if client._catalogue.note(adaptation):
        log.warning("%s", adaptation.message)


def asking(client: Any) -> Generator[Ask, Reply, ServerFacts]:
    """Return the flow that asks the server what it is."""
    return discover_dialect(str(client._settings.endpoint), client._catalogue.models)


def asking_seconds(client: Any, call: Call) -> float:
    """Return how long a call waits for what the server is asked on its way."""
    return min(max(call.remaining(client._clock()), 0.0), ASKING_SECONDS)


def is_away(error: openai.OpenAIError) -> bool:
    """Whether a server said nothing of itself because it was not there: it is asked again with the next call."""
    return isinstance(error, openai.APIConnectionError) and not isinstance(error, openai.APITimeoutError)


def remember(client: Any, facts: ServerFacts | None) -> None:
    """Remember what a server is; where it did not tell (None), what it was, and ask again soon."""
    catalogue, now = client._catalogue, client._clock()
    if facts is None and catalogue.dialect is not None:
        catalogue.dialect_from = now - REMEMBERED_SECONDS + PAUSE_SECONDS
        return
    catalogue.dialect, catalogue.dialect_from = facts, now
    if facts is not None and catalogue.models is None and facts.models:
        catalogue.models = facts.models
