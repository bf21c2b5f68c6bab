"""Decompression with a bound: a few bytes of a hostile answer unfold to gigabytes."""

from __future__ import annotations

import zlib

from vllm_connect.wire.failures import AnswerMalformed, AnswerTooLarge

__all__ = ["Decompression"]

# zlib's window: with its gzip frame, and without any frame, which some servers send as "deflate".
GZIP = 16 + zlib.MAX_WBITS
RAW = -zlib.MAX_WBITS
DEFLATE_FRAME = 0x78


class Decompression:
    """Unfolds a body in pieces. We ask for none, but a caller's header may, and some gateways do not ask.

    Raises AnswerMalformed for an unknown, repeated or broken coding.
    """

    def __init__(self, coding: bytes) -> None:
        self._name = coding.strip().lower()
        if self._name not in (b"gzip", b"x-gzip", b"deflate"):
            raise AnswerMalformed(f"its compression {_shown(coding)} was not asked for and is not known")
        self._zlib: zlib._Decompress | None = None

    def decode(self, data: bytes, most: int, limit: str) -> bytes:
        """Return what these bytes unfold to; raises AnswerTooLarge beyond `most`, `limit` being its name."""
        if self._zlib is None:
            framed = self._name != b"deflate" or data[:1] == bytes([DEFLATE_FRAME])
            window = RAW if not framed else (zlib.MAX_WBITS if self._name == b"deflate" else GZIP)
            self._zlib = zlib.decompressobj(window)
        try:
            unfolded = self._zlib.decompress(data, most + 1)
        except zlib.error:
            raise AnswerMalformed("its compression is broken") from None
        if len(unfolded) > most:
            raise AnswerTooLarge(limit, most)
        return unfolded

    @property
    def is_complete(self) -> bool:
        return self._zlib is not None and self._zlib.eof


def _shown(coding: bytes) -> str:
    return repr(coding[:40].decode("latin-1"))
