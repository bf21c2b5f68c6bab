"""The bytes of an answer -> the SDK's own types, equal to what the SDK itself makes of them, at a tenth of its cost.

The SDK parses the JSON, then builds each object field by field (`construct`), taking what does not fit as it is.
Here pydantic reads the bytes straight into the SDK's classes, strictly: what it accepts in that way has the very
types that the classes name, and there construction changes nothing. Whatever is in doubt is read again in the
SDK's way: unknown finish reasons, nulls and wrong types, escaped halves of surrogate pairs.

Refused, where the SDK would hand out something that is not an answer, or fail with an error of Python's:
no JSON, no UTF-8, NaN and Infinity, nesting or numbers too large for Python to read, a top level that is no object,
an `error` in the object, no `choices` or `data`, items of these that are no objects or lack their message, text or
embedding, base64 that is none. Read, where the SDK fails or reads something else: base64 of the URL alphabet or
without padding, and a field named `_fields_set`, which is a parameter of construction.
"""

from __future__ import annotations

import json
from array import array
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Generic, Never, TypeVar

import pydantic
from openai import BaseModel
from openai.pagination import AsyncPage, SyncPage
from openai.types import Completion, CompletionChoice, CreateEmbeddingResponse, Embedding, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.completion_choice import Logprobs

from vllm_connect.client.nesting import TOO_DEEP, is_too_deep
from vllm_connect.client.reasoning import OLD_NAME, name_all_reasoning, name_reasoning
from vllm_connect.outcome.judgement import FINISHED

__all__ = [
    "ASYNC_MODELS",
    "CHAT",
    "CHAT_CHUNK",
    "COMPLETION",
    "COMPLETION_CHUNK",
    "EMBEDDINGS",
    "ENCODED_EMBEDDINGS",
    "MODELS",
    "ErrorInAnswer",
    "Form",
    "NotAnAnswer",
    "parsed",
    "read_json",
    "reader",
]

M = TypeVar("M", bound=BaseModel)


class NotAnAnswer(ValueError):
    """Raised for bytes that are no answer of the form asked for; the text says why, and quotes nothing of them."""


class ErrorInAnswer(Exception):
    """Raised for an error in the place of an answer, as a 200 or an event of a stream can carry one.

    `error` is what the server said, as a rule an object with `message`, `type`, `code`; it may be a text.
    `status` is the HTTP status that its `code` names, None where it names none.
    """

    def __init__(self, error: object) -> None:
        super().__init__("the answer is an error")
        self.error = error
        self.status = _status(error)


def _status(error: object) -> int | None:
    code = error.get("code") if isinstance(error, Mapping) else None
    text = str(code)
    return int(text) if len(text) == 3 and text.isdecimal() and text[0] in "45" else None  # noqa: PLR2004


# -- classes that pydantic reads where the SDK's own fit no real answer; no caller ever sees them

# Within these bounds every int is a float of the same value; construction leaves a larger one an int.
_Float = Annotated[float, pydantic.Field(gt=-(2**53), lt=2**53)]


class _Logprobs(Logprobs):
    # With a null among its numbers it is constructed, else validated; only of unknown fields that leaves a trace.
    model_config = pydantic.ConfigDict(extra="forbid")
    # The first token of a prompt that is echoed has none.
    token_logprobs: list[_Float | None] | None = None  # type: ignore[assignment]
    top_logprobs: list[dict[str, _Float] | None] | None = None  # type: ignore[assignment]


class _CompletionChoice(CompletionChoice):
    # Null in every chunk but the last; construction takes any other text too.
    finish_reason: str | None  # type: ignore[assignment]
    logprobs: _Logprobs | None = None


class _Completion(Completion):
    choices: list[_CompletionChoice]  # type: ignore[assignment]


class _Embedding(Embedding):
    # A text where the caller asked for base64.
    embedding: Annotated[str | list[_Float], pydantic.Field(union_mode="left_to_right")]  # type: ignore[assignment]


class _Embeddings(CreateEmbeddingResponse):
    data: list[_Embedding]  # type: ignore[assignment]


class _EncodedEmbedding(Embedding):
    model_config = pydantic.ConfigDict(val_json_bytes="base64")
    embedding: Annotated[bytes | list[_Float], pydantic.Field(union_mode="left_to_right")]  # type: ignore[assignment]


class _EncodedEmbeddings(CreateEmbeddingResponse):
    data: list[_EncodedEmbedding]  # type: ignore[assignment]


# Before 2.9 pydantic knew no `val_json_bytes`, and took the base64 itself for the bytes.
_READS_BASE64 = tuple(int(part) for part in pydantic.VERSION.split(".")[:2]) >= (2, 9)

# -- from what pydantic validated to what the SDK constructs, in place: no object is copied


def _settle_chat(answer: Any) -> None:
    for choice in answer.choices:
        _settle(choice)
        message = choice.message
        if OLD_NAME in message.__pydantic_extra__:
            name_reasoning(message)
        _settle(message)


def _settle_chunk(answer: Any) -> None:
    # Once per token: `_settle`, without its calls.
    for choice in answer.choices:
        for name in choice.__pydantic_extra__:
            choice.__pydantic_fields_set__.discard(name)
        delta = choice.delta
        for name in delta.__pydantic_extra__:
            delta.__pydantic_fields_set__.discard(name)


def _settle_completion(answer: Any) -> None:
    _become(answer, Completion)
    for choice in answer.choices:
        _settle(choice)
        _become(choice, CompletionChoice)
        if choice.logprobs is not None:
            _become(choice.logprobs, Logprobs)
            object.__setattr__(choice.logprobs, "__pydantic_extra__", {})


def _settle_embeddings(answer: Any) -> None:
    _settle(answer.usage)
    _become(answer, CreateEmbeddingResponse)
    for item in answer.data:
        _settle(item)
        _become(item, Embedding)


def _settle_encoded_embeddings(answer: Any) -> None:
    for item in answer.data:
        fields = item.__dict__
        if type(fields["embedding"]) is bytes:
            fields["embedding"] = _floats(fields["embedding"])
    _settle_embeddings(answer)


def _settle(model: Any) -> None:
    """Count unknown fields as not set, as construction does and validation does not."""
    for name in model.__pydantic_extra__:
        model.__pydantic_fields_set__.discard(name)


def _become(model: object, kind: type[BaseModel]) -> None:
    # Past pydantic, which takes an assignment for one to a field. Both classes have the same slots.
    object.__setattr__(model, "__class__", kind)


def _decode(answer: CreateEmbeddingResponse) -> None:
    for item in answer.data:
        encoded: object = item.embedding
        if isinstance(encoded, str):
            item.embedding = _floats(b64decode(encoded, validate=True))


def _floats(packed: bytes) -> list[float]:
    """Return float32 numbers, in the byte order of this machine as the SDK reads them."""
    return array("f", packed).tolist()


# -- whether it is all: once per call, so that what is well costs no judgement


def _may_lack_choices(answer: Any, asked: int) -> bool:
    choices = answer.choices
    if len(choices) < asked:
        return True
    try:
        for choice in choices:
            if choice.finish_reason not in FINISHED:
                return True
    except (AttributeError, TypeError):  # it is missing, or no text
        return True
    return False


def _lacks_vectors(answer: Any, asked: int) -> bool:
    return len(answer.data) < asked


# -- the forms


@dataclass(frozen=True, kw_only=True)
class Form(Generic[M]):
    """One form of answer: what the SDK makes of it, and what it must have to be one."""

    kind: type[M]
    items: str
    """The list that holds what was asked for."""
    may_be_empty: bool = False
    part: str | None = None
    """What each item must have, and of which types."""
    part_types: tuple[type, ...] = ()
    read_as: type[BaseModel] | None = None
    """The class that pydantic reads bytes into, None to leave all to the SDK's construction."""
    settle: Callable[[Any], None] | None = None
    """Makes of what pydantic validated what the SDK constructs, in place."""
    finish: Callable[[M], None] | None = None
    """Does what the SDK's `post_parser` does to what it constructed."""
    may_lack: Callable[[Any, int], bool] | None = None
    """Says of a plain answer, and of how many items were asked for, whether it may be less: to be judged then."""


CHAT = Form(
    kind=ChatCompletion,
    items="choices",
    part="message",
    part_types=(dict,),
    read_as=ChatCompletion,
    settle=_settle_chat,
    finish=name_all_reasoning,
    may_lack=_may_lack_choices,
)
# The chunk that tells the usage has no choices.
CHAT_CHUNK = Form(
    kind=ChatCompletionChunk,
    items="choices",
    may_be_empty=True,
    read_as=ChatCompletionChunk,
    settle=_settle_chunk,
)
COMPLETION = Form(
    kind=Completion,
    items="choices",
    part="text",
    part_types=(str,),
    read_as=_Completion,
    settle=_settle_completion,
    may_lack=_may_lack_choices,
)
COMPLETION_CHUNK = Form(
    kind=Completion, items="choices", may_be_empty=True, read_as=_Completion, settle=_settle_completion
)
# Where the caller chose `encoding_format`, the SDK hands out what the server sent.
EMBEDDINGS = Form(
    kind=CreateEmbeddingResponse,
    items="data",
    part="embedding",
    part_types=(list, str),
    read_as=_Embeddings,
    settle=_settle_embeddings,
    may_lack=_lacks_vectors,
)
# Where the caller did not, the SDK asks for base64 and decodes it; a server may answer with numbers all the same.
ENCODED_EMBEDDINGS = Form(
    kind=CreateEmbeddingResponse,
    items="data",
    part="embedding",
    part_types=(list, str),
    read_as=_EncodedEmbeddings if _READS_BASE64 else None,
    settle=_settle_encoded_embeddings,
    finish=_decode,
    may_lack=_lacks_vectors,
)
MODELS = Form(kind=SyncPage[Model], items="data", may_be_empty=True)
ASYNC_MODELS = Form(kind=AsyncPage[Model], items="data", may_be_empty=True)

# What begins NaN and Infinity. As numbers: `bytes in bytes` costs ten times as much as `int in bytes`.
_N, _I = b"NI"


@cache
def reader(form: Form[M], *, settles: bool = True) -> Callable[[bytes], M]:
    """Return the function that reads the bytes of an answer of this form.

    It raises `ErrorInAnswer` or `NotAnAnswer`. Made at its first use, in some milliseconds; each later call of
    `reader` gives the same one, to be kept where it is called per chunk. Without `settles` the unknown fields of
    choices and deltas still count as set, for who walks through them anyhow (`settled`).
    """
    if form.read_as is None or form.settle is None:
        return lambda body: _construct(form, body)
    # pydantic builds a validator at its first use, which the SDK asks for: here, so that its own method is bound.
    form.read_as.model_rebuild()
    validate = form.read_as.__pydantic_validator__.validate_json
    items, may_be_empty, settle = form.items, form.may_be_empty, form.settle

    def read(body: bytes) -> M:
        try:
            answer: Any = validate(body, strict=True)
            extra = answer.__pydantic_extra__
            if not (
                "error" in extra
                or ((_N in body or _I in body) and _mentions_no_number(body))
                or not (may_be_empty or getattr(answer, items))
            ):
                for name in extra:
                    answer.__pydantic_fields_set__.discard(name)
                if settles:
                    settle(answer)
                return answer  # type: ignore[no-any-return]  # of the form's kind now
        except ValueError:  # pydantic's too, and that of packed numbers that do not come out even
            pass
        return _construct(form, body)

    return read


def _mentions_no_number(body: bytes) -> bool:
    """Whether NaN or Infinity stands somewhere: as a number, or in a text."""
    return body.find(b"NaN") >= 0 or body.find(b"Infinity") >= 0


# -- the SDK's way


def _construct(form: Form[M], body: bytes) -> M:
    """Return what the SDK makes of an answer, after a look at whether it is one."""
    data = parsed(body)
    _check_items(form, data)
    try:
        answer = form.kind.construct(**data)
        if form.finish is not None:
            form.finish(answer)
    except RecursionError as error:
        raise NotAnAnswer(TOO_DEEP) from error
    # Of construction, on names that are its own parameters, or numbers that no float can hold; of base64.
    except (ArithmeticError, AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise NotAnAnswer(f"the SDK cannot read it ({type(error).__name__})") from error
    return answer


def parsed(body: bytes) -> dict[str, Any]:
    """Return the object that a body or an event's payload holds; raises as a `reader` does."""
    if not body.strip():
        raise NotAnAnswer("it is empty")
    data = read_json(body)
    if not isinstance(data, dict):
        raise NotAnAnswer("it is JSON, but no object")
    if data.get("error"):
        raise ErrorInAnswer(data["error"])
    if data.get("object") == "error":  # of vLLM before 0.10.1: the error is the whole
        raise ErrorInAnswer(data)
    return data


def read_json(body: bytes) -> Any:
    """Return what a body of JSON holds; raises NotAnAnswer, saying why it is none."""
    if is_too_deep(body):
        raise NotAnAnswer(TOO_DEEP)
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except NotAnAnswer:
        raise
    except UnicodeDecodeError as error:
        raise NotAnAnswer("it is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise NotAnAnswer(f"it is not JSON (at character {error.pos})") from error
    except ValueError as error:  # of an int with more digits than Python converts
        raise NotAnAnswer("it has a number with too many digits") from error
    except RecursionError as error:
        raise NotAnAnswer(TOO_DEEP) from error


def _refuse_constant(name: str) -> Never:
    raise NotAnAnswer(f"it holds {name}, which JSON does not have")


def _check_items(form: Form[Any], data: dict[str, Any]) -> None:
    items = data.get(form.items)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise NotAnAnswer(f"it has no list of {form.items}")
    if not items and not form.may_be_empty:
        raise NotAnAnswer(f"its list of {form.items} is empty")
    if form.part is not None and not all(isinstance(item.get(form.part), form.part_types) for item in items):
        raise NotAnAnswer(f"one of its {form.items} has no {form.part}")
