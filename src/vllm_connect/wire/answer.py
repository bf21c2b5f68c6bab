"""One HTTP/1.1 answer: bytes in; status, headers and body out. No I/O, and nothing is kept beyond its limits.

The grammar is llhttp's, by httptools, which vLLM itself serves with. What it leaves to its user is here: a bound
for heads (it buffers an endless one), interim answers, the end of a body that only the end of the connection
ends, and bytes that no request asked for.
"""

from __future__ import annotations

import httptools

from vllm_connect.settings import Limits
from vllm_connect.wire.failures import AnswerCut, AnswerMalformed, AnswerTooLarge

__all__ = ["Answer", "AnswerReader", "Headers"]

Headers = list[tuple[bytes, bytes]]

FIRST_FINAL_STATUS = 200
# A body that comes in tiny chunks is gathered, as each of its pieces would be an object of 40 bytes.
MANY_PIECES = 512


class Answer:
    """An answer: `headers` as they came, `fields` by lower-case name; of a stream `body` is empty."""

    __slots__ = ("body", "fields", "headers", "status")

    def __init__(self, status: int, headers: Headers, fields: dict[bytes, bytes], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.fields = fields
        self.body = body


class AnswerReader:
    """Reads the answers of one connection, one after the other: `begin`, then `feed` until `is_complete`.

    After each `feed`, `take()` gives the body bytes that came, so that a stream is handed on while it comes.
    Raises AnswerMalformed, AnswerTooLarge and, by `end()`, AnswerCut; after any of them the connection is of
    no more use.
    """

    __slots__ = (
        "_gathered",
        "_limits",
        "_own_pieces",
        "_parser",
        "_pieces",
        "_read",
        "fields",
        "has_excess",
        "has_head",
        "headers",
        "is_complete",
        "is_reusable",
        "on_body",
        "status",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._pieces: list[bytes] = []
        # Called by the parser once for every chunk of a body: a list's own method costs no Python frame.
        self.on_body = self._pieces.append
        self._gathered = bytearray()
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self.begin()

    def begin(self) -> None:
        """Make ready for the answer to a request that is about to leave."""
        self.status = 0
        self.headers: Headers = []
        self.fields: dict[bytes, bytes] = {}
        self.has_head = False
        self.is_complete = False
        self.is_reusable = False
        self.has_excess = False
        self._read = 0
        self._own_pieces = 0

    @property
    def has_begun(self) -> bool:
        """Whether any byte of the answer has come."""
        return self._read > 0

    @property
    def body_bytes(self) -> int:
        """Bytes of the body that were not taken yet."""
        return len(self._gathered) + sum(map(len, self._pieces))

    def feed(self, data: bytes) -> None:
        """Read bytes as they came."""
        parser = self._parser
        if parser is None:
            return
        room = len(data) if self.has_head else self._limits.header_bytes - self._read
        if len(data) > room:
            # A head is measured by the bytes up to its end, interim answers included, however they are cut.
            self.feed(data[:room])
            if not self.has_head:
                raise AnswerTooLarge("header_bytes", self._limits.header_bytes)
            data = data[room:]
        self._read += len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise AnswerMalformed("it switched to another protocol, which nobody asked for") from None
        except httptools.HttpParserError as error:
            if not self.is_complete:
                raise AnswerMalformed(_reason(error, has_head=self.has_head)) from None
            # The answer is whole; what follows it is not ours, and the connection not to be used again.
            self.has_excess = True
        if len(self._pieces) > MANY_PIECES and not self.is_complete:
            self._gathered += b"".join(self._pieces)
            self._pieces.clear()

    def take(self) -> bytes:
        """Return the body bytes that came since the last time."""
        pieces = self._pieces
        if self.has_excess:
            del pieces[self._own_pieces :]
        if self._gathered:
            self._gathered += b"".join(pieces)
            body = bytes(self._gathered)
            self._gathered = bytearray()
        elif len(pieces) == 1:
            body = pieces[0]
        else:
            body = b"".join(pieces)
        pieces.clear()
        return body

    @property
    def received(self) -> int:
        """Bytes read of this answer, framing included: never less than its body."""
        return self._read

    def end(self) -> None:
        """Take note that the connection ended: the end of a body without a length; raises AnswerCut else."""
        if self.is_complete:
            return
        if not self.has_head or not self._ends_with_connection():
            raise AnswerCut("the connection ended before the answer was complete")
        self.is_complete = True

    def release(self) -> None:
        """Let go of the parser, which holds this reader in turn: no garbage collection has to find the ring."""
        self._parser = None

    def _ends_with_connection(self) -> bool:
        return not {b"content-length", b"transfer-encoding"} & self.fields.keys()

    # -- called by the parser

    def on_message_begin(self) -> None:
        if self.is_complete:
            self.has_excess = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_head:  # trailers are read and left: none is known that a client needs
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status < FIRST_FINAL_STATUS or self.is_complete:
            return
        if len(self.headers) > self._limits.headers:
            raise AnswerTooLarge("headers", self._limits.headers)
        self.status = status
        self.fields = {name.lower(): value for name, value in self.headers}
        self.has_head = True

    def on_message_complete(self) -> None:
        if self.is_complete:
            return
        if not self.has_head:
            # An interim answer (RFC 9110, 15.2), which the parser ends like any other.
            self.headers.clear()
            return
        assert self._parser is not None
        self.is_complete = True
        self._own_pieces = len(self._pieces)
        # The parser knows this here and nowhere else.
        self.is_reusable = self._parser.should_keep_alive()


def _reason(error: Exception, *, has_head: bool) -> str:
    if isinstance(error.__context__, AnswerTooLarge):
        raise error.__context__ from None
    return f"its {'body' if has_head else 'head'} is not HTTP/1.1 ({error})"
