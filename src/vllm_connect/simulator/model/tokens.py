"""A small stand-in for a tokenizer: whole words where it knows them, letter pairs and bytes elsewhere."""

import codecs
import itertools
import re
import string
from collections.abc import Iterable

from vllm_connect.simulator.model.words import VOCABULARY

BEGIN, END, TURN_BEGIN, TURN_END, THINK_BEGIN, THINK_END, TOOL_BEGIN, TOOL_END = SPECIAL = (
    "<s>",
    "</s>",
    "<|im_start|>",
    "<|im_end|>",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
)

_PIECE = re.compile(r" ?[A-Za-z]+| ?[^A-Za-z\s]|\s")
_SPECIAL = re.compile("(" + "|".join(map(re.escape, SPECIAL)) + ")")


def _vocabulary() -> tuple[bytes, ...]:
    """Each token's bytes; its place is its id. All single bytes are in, so that any text round-trips."""
    letters = string.ascii_lowercase
    pairs = ("".join(pair) for pair in itertools.product(letters, letters))
    starts = (" " + letter for letter in string.ascii_letters)
    words = (form for word in VOCABULARY for form in (word, " " + word, word.title(), " " + word.title()))
    texts = dict.fromkeys(itertools.chain(pairs, starts, words))
    single = tuple(bytes([value]) for value in range(256))
    special = tuple(text.encode() for text in SPECIAL)
    return special + single + tuple(text.encode() for text in texts if len(text) > 1)


TOKENS = _vocabulary()
SIZE = len(TOKENS)
MAX_CHARACTERS = max(map(len, TOKENS))
_IDS = {token: number for number, token in enumerate(TOKENS)}
_SPECIAL_IDS = {text: _IDS[text.encode()] for text in SPECIAL}
END_ID = _SPECIAL_IDS[TURN_END]


def special_id(text: str) -> int:
    """The id of a special token."""
    return _SPECIAL_IDS[text]


def encode(text: str) -> list[int]:
    """Token ids of a text; `decode` gives the text back."""
    return [number for part in _SPECIAL.split(text) for number in _encode_part(part)]


def decode(ids: Iterable[int], *, skip_special: bool = False) -> str:
    """The text of token ids; ids outside the vocabulary and cut characters become U+FFFD."""
    first = len(SPECIAL) if skip_special else 0
    unknown = "\ufffd".encode()
    chunks = (TOKENS[number] if number < SIZE else unknown for number in ids if number >= first)
    return b"".join(chunks).decode(errors="replace")


class Detokenizer:
    """Text from one token at a time: a character spread over several tokens comes with its last one."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, number: int) -> str:
        """What this token adds to the text; special tokens add nothing."""
        return self._decoder.decode(b"" if number < len(SPECIAL) else TOKENS[number])


def _encode_part(part: str) -> list[int]:
    if part in _SPECIAL_IDS:
        return [_SPECIAL_IDS[part]]
    return [number for piece in _PIECE.findall(part) for number in _encode_piece(piece)]


def _encode_piece(piece: str) -> list[int]:
    data = piece.encode(errors="replace")
    whole = _IDS.get(data)
    return [whole] if whole is not None else list(_longest_first(data))


def _longest_first(data: bytes) -> Iterable[int]:
    while data:
        size = next(size for size in (2, 1) if data[:size] in _IDS)
        yield _IDS[data[:size]]
        data = data[size:]
