"""From a prompt to the tokens that answer it: pure, so the same request always gets the same words."""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from vllm_connect.simulator.model.tokens import END_ID, Detokenizer, encode
from vllm_connect.simulator.model.words import sentences


@dataclass(frozen=True)
class Limits:
    """What ends a generation, apart from the model having said all."""

    max_tokens: int
    min_tokens: int = 0
    stop: tuple[str, ...] = ()
    stop_token_ids: frozenset[int] = frozenset()
    keep_stop: bool = False
    ignore_end: bool = False


@dataclass(frozen=True)
class Step:
    """One generated token and the text it lets out; the last step says why it is the last."""

    token: int
    text: str
    finish_reason: str | None = None
    stop_reason: str | int | None = None


@dataclass(frozen=True)
class Generation:
    """All steps of one sequence."""

    steps: tuple[Step, ...]

    @property
    def ids(self) -> list[int]:
        """The generated tokens, the ending one among them."""
        return [step.token for step in self.steps]

    @property
    def text(self) -> str:
        """The text, without what ended it."""
        return "".join(step.text for step in self.steps)

    @property
    def last(self) -> Step:
        """The step that ended it."""
        return self.steps[-1]


def randomness(prompt: Sequence[int], seed: int | None, index: int = 0) -> Random:
    """The one source of chance of a sequence: its prompt, seed and number."""
    key = f"{seed} {index} {' '.join(map(str, prompt))}"
    return Random(hashlib.sha256(key.encode()).digest())  # noqa: S311 - repeatable on purpose


def spoken(random: Random) -> str:
    """A few sentences: what the model says when nothing binds it."""
    return "".join(itertools.islice(sentences(random), random.randint(2, 4)))


def generate(text: str, limits: Limits, random: Random) -> Generation:
    """Speak `text` and then stop, within the limits."""
    return Generation(tuple(_steps(_tokens(text, limits, random), limits)))


def _tokens(text: str, limits: Limits, random: Random) -> Iterator[int]:
    """The model's own tokens: the text, then its end, unless that is put off."""
    said = 0
    for token in encode(text):
        yield token
        said += 1
    if limits.ignore_end:
        more = (token for sentence in sentences(random) for token in encode(sentence))
        yield from more
    while said < limits.min_tokens:
        for token in encode(next(sentences(random))):
            yield token
            said += 1
    yield END_ID


def _steps(tokens: Iterable[int], limits: Limits) -> Iterator[Step]:
    detokenizer = Detokenizer()
    text, sent = "", 0
    # A stop string may begin in what is already spoken: so much text is held back until it cannot.
    held = 0 if limits.keep_stop else max(map(len, limits.stop), default=1) - 1
    for count, token in enumerate(tokens, 1):
        may_end = count > limits.min_tokens
        end = _token_end(token, limits) if may_end else None
        if end is None or limits.keep_stop:
            text += detokenizer.add(token)
        found = _find_stop(text, limits, sent) if may_end else None
        if found:
            text, end = found
        elif end is None and count >= limits.max_tokens:
            end = ("length", None)
        until = len(text) if end else max(sent, len(text) - held)
        yield Step(token, text[sent:until], *(end or (None, None)))
        if end:
            return
        sent = until


def _token_end(token: int, limits: Limits) -> tuple[str, str | int | None] | None:
    if token in limits.stop_token_ids:
        return "stop", token
    if token == END_ID and not limits.ignore_end:
        return "stop", None
    return None


def _find_stop(text: str, limits: Limits, start: int) -> tuple[str, tuple[str, str | int | None]] | None:
    """The text up to the first stop string in it, and which that was."""
    places = [(text.find(stop, max(0, start - len(stop))), stop) for stop in limits.stop]
    found = min((place for place in places if place[0] >= 0), default=None)
    if found is None:
        return None
    at, stop = found
    return text[: at + len(stop) if limits.keep_stop else at], ("stop", stop)
