"""A text that a regular expression allows: literals, classes, groups, alternatives, repetition."""

import re
import string
from collections.abc import Callable
from random import Random
from typing import Final

Maker = Callable[[Random], str]

_CLASSES: Final = {
    "d": string.digits,
    "w": string.ascii_lowercase + string.digits + "_",
    "s": " ",
    "D": string.ascii_lowercase,
    "W": "-",
    "S": string.ascii_lowercase,
}
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}
_ANY: Final = string.ascii_lowercase
_PRINTABLE: Final = "".join(map(chr, range(32, 127)))
_COUNTS: Final = re.compile(r"\{(\d+)(,?)(\d*)\}")
_GROUP: Final = re.compile(r"\(\?(?::|P?<\w+>)|\(")
_MORE: Final = 3


def example(pattern: str, random: Random) -> str:
    """A text that matches the whole pattern."""
    return _Reader(pattern).read()(random)


class _Reader:
    """Reads a pattern from left to right into makers of matching text."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def read(self) -> Maker:
        return self._alternatives()

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _next(self) -> str:
        character = self._peek()
        self._at += 1
        return character

    def _alternatives(self) -> Maker:
        ways = [self._sequence()]
        while self._peek() == "|":
            self._next()
            ways.append(self._sequence())
        return lambda random: random.choice(ways)(random)

    def _sequence(self) -> Maker:
        parts: list[Maker] = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated(self._atom()))
        return lambda random: "".join(part(random) for part in parts)

    def _atom(self) -> Maker:
        if group := _GROUP.match(self._pattern, self._at):
            self._at = group.end()
            inner = self._alternatives()
            self._next()
            return inner
        character = self._next()
        if character in "^$":
            return lambda _: ""
        allowed = self._allowed(character)
        return lambda random: random.choice(allowed)

    def _allowed(self, character: str) -> str:
        match character:
            case "[":
                return self._class()
            case "\\":
                return self._escaped()
            case ".":
                return _ANY
            case _:
                return character

    def _repeated(self, atom: Maker) -> Maker:
        counts = _COUNTS.match(self._pattern, self._at)
        if counts:
            self._at = counts.end()
            least = int(counts[1])
            most = int(counts[3]) if counts[3] else least + _MORE if counts[2] else least
        elif self._peek() and self._peek() in "?*+":
            least, most = {"?": (0, 1), "*": (0, _MORE), "+": (1, _MORE)}[self._next()]
        else:
            return atom
        if self._peek() == "?":
            self._next()
        return lambda random: "".join(atom(random) for _ in range(random.randint(least, most)))

    def _escaped(self) -> str:
        character = self._next()
        return _CLASSES.get(character) or _ESCAPES.get(character, character)

    def _class(self) -> str:
        negated = self._peek() == "^"
        if negated:
            self._next()
        allowed = self._member()
        while self._peek() != "]":
            allowed += self._member()
        self._next()
        return "".join(other for other in _PRINTABLE if other not in allowed) if negated else allowed

    def _member(self) -> str:
        character = self._next()
        if character == "\\":
            return self._escaped()
        if self._peek() == "-" and self._pattern[self._at + 1 : self._at + 2] not in ("]", ""):
            self._next()
            return "".join(map(chr, range(ord(character), ord(self._next()) + 1)))
        return character
