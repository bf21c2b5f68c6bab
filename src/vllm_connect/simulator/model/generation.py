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
    allowed: tuple[int, ...] = ()
    """The only tokens that may come; none given: all."""
    banned: tuple[tuple[int, ...], ...] = ()
    """Tokens that may not come in a row."""
    repetition: tuple[int, int, int] | None = None
    """The least and the most tokens of a pattern, and how often in a row it ends the generation."""


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
    tokens = _tokens(text, limits, random)
    if limits.allowed:
        tokens = iter(lambda: random.choice(limits.allowed), None)
    if limits.banned:
        tokens = _without(tokens, limits.banned)
    return Generation(tuple(_steps(tokens, limits)))


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


def _without(tokens: Iterable[int], banned: tuple[tuple[int, ...], ...]) -> Iterator[int]:
    """Leave out each token that would complete what is banned."""
    longest = max(map(len, banned))
    said: list[int] = []
    for token in tokens:
        said.append(token)
        if any(tuple(said[-len(words) :]) == words for words in banned):
            said.pop()
            continue
        yield token
        del said[: -longest or None]


def _repeats(said: list[int], least: int, most: int, count: int) -> bool:
    """Whether the last tokens are one pattern, so often in a row."""
    return any(
        len(said) >= size * count and said[-size * count :] == said[-size:] * count
        for size in range(max(least, 1), most + 1)
    )


def _steps(tokens: Iterable[int], limits: Limits) -> Iterator[Step]:
    detokenizer = Detokenizer()
    text, sent = "", 0
    # A stop string may begin in what is already spoken: so much text is held back until it cannot.
    held = 0 if limits.keep_stop else max(map(len, limits.stop), default=1) - 1
    said: list[int] = []
    for count, token in enumerate(tokens, 1):
        said.append(token)
        may_end = count > limits.min_tokens
        end = _token_end(token, limits) if may_end else None
        if end is None or limits.keep_stop:
            text += detokenizer.add(token)
        found = _find_stop(text, limits, sent) if may_end else None
        if found:
            text, end = found
        elif end is None and limits.repetition and _repeats(said, *limits.repetition):
            end = ("repetition", "repetition_detected")
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
