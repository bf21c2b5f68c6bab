"""The bytes of a request, whose key is written only as they leave."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Sequence

__all__ = ["Head", "Outgoing"]

RETRY_COUNT = b"x-stainless-retry-count"
CONTENT_LENGTH = b"content-length"


class Head:
    """The head of a request as a template: all of it but the key, the number of tries, the length of the body.

    `headers` in the order and spelling in which they leave; one whose value is `key_mark` is where the key goes.
    Without a mark the head is no template: it leaves as it is. `hidden` headers leave too, and are not shown.
    """

    __slots__ = ("_key_at", "_length_at", "_parts", "_retries_at", "headers", "method", "moved", "target")

    def __init__(
        self,
        method: str,
        target: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        *,
        key_mark: bytes | None,
        hidden: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self.method = method
        self.target = target
        self.headers = tuple(headers)
        # The same head, and its URL, at other replicas, by their names.
        self.moved: dict[str, tuple[Head, str]] = {}
        self._key_at = self._retries_at = self._length_at = 0
        parts: list[bytes] = [b"%b %b HTTP/1.1\r\n" % (method.encode("ascii"), target)]
        for name, value in headers:
            lowered = name.lower()
            if key_mark is None:
                parts.append(b"%b: %b\r\n" % (name, value))
            elif value == key_mark:
                parts += (name + b": Bearer ", b"", b"\r\n")
                self._key_at = len(parts) - 2
            elif lowered == RETRY_COUNT:
                parts += (name + b": ", value, b"\r\n")
                self._retries_at = len(parts) - 2
            elif lowered == CONTENT_LENGTH:
                parts += (name + b": ", value, b"\r\n")
                self._length_at = len(parts) - 2
            else:
                parts.append(b"%b: %b\r\n" % (name, value))
        parts += [b"%b: %b\r\n" % header for header in hidden]
        parts.append(b"\r\n")
        self._parts = parts

    @property
    def wants_key(self) -> bool:
        return self._key_at > 0

    def encode(self, key: str | None, retries: int, body: bytes) -> bytes:
        """Return head and body as one piece of bytes."""
        parts = self._parts.copy()
        at = self._key_at
        if at and key is not None:
            parts[at] = key.encode("ascii")
        elif at:
            parts[at - 1] = parts[at + 1] = b""
        if retries and self._retries_at:
            parts[self._retries_at] = b"%d" % retries
        if self._length_at:
            parts[self._length_at] = b"%d" % len(body)
        parts.append(body)
        return b"".join(parts)


class Outgoing:
    """A request about to leave. Nothing shows its key, and no variable holds the bytes that do.

    `more` is a body that is not there as a whole: its pieces follow `body`, `is_chunked` says how. `size` is that of
    what was encoded.
    """

    __slots__ = ("__key", "body", "head", "is_chunked", "more", "retries", "size")

    def __init__(  # noqa: PLR0917 - made once per try, and arguments by name cost
        self,
        head: Head,
        key: str | None,
        retries: int,
        body: bytes,
        more: Iterable[bytes] | AsyncIterable[bytes] | None = None,
        is_chunked: bool = False,  # noqa: FBT001, FBT002 - as above
    ) -> None:
        self.head = head
        self.__key = key
        self.retries = retries
        self.body = body
        self.more = more
        self.is_chunked = is_chunked
        self.size = 0

    def encode(self) -> bytes:
        """Return what is written at once."""
        encoded = self.head.encode(self.__key, self.retries, self.body)
        self.size = len(encoded)
        return encoded

    def framed(self, piece: bytes) -> bytes:
        """Return a further piece of the body as it is written."""
        return b"%x\r\n%b\r\n" % (len(piece), piece) if self.is_chunked else piece

    @property
    def ending(self) -> bytes:
        return b"0\r\n\r\n" if self.is_chunked else b""
