"""The raw response of a call on the fast lane: the SDK's class, whose httpx response is built when looked at."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from openai._legacy_response import LegacyAPIResponse  # private, the same in 2.25 and 3.x
from openai._models import FinalRequestOptions

from vllm_connect.client.seen import Seen

if TYPE_CHECKING:
    import httpx2

__all__ = ["LaneResponse"]


class LaneResponse(LegacyAPIResponse[Any]):
    """What `with_raw_response.create()` returns; `parse()` gives what `create()` would have."""

    def __init__(self, seen: Seen, parsed: Callable[[], Any], *, stream: bool, stream_cls: type) -> None:
        assert seen.sent is not None
        self._seen = seen
        self._make_parsed = parsed
        self._cast_to = seen.prepared.answer.kind
        self._client = seen.client
        self._parsed_by_type = {}
        self._stream = stream
        self._stream_cls = stream_cls
        self.retries_taken = seen.prepared.call.tries - 1

    @cached_property
    def http_response(self) -> httpx2.Response:  # type: ignore[override]  # an attribute of the SDK's
        """The response itself."""
        return self._seen.response()

    @cached_property
    def _options(self) -> FinalRequestOptions:  # type: ignore[override]  # an attribute of the SDK's
        return FinalRequestOptions.construct(method="post", url=self._seen.prepared.url)

    def parse(self, *, to: Any = None) -> Any:
        """Return the answer in the SDK's own type, or in the one asked for."""
        if to is not None and to is not self._cast_to:
            return super().parse(to=to)
        parsed = self._parsed_by_type.get(self._cast_to)
        if parsed is None:
            parsed = self._parsed_by_type[self._cast_to] = self._make_parsed()
        return parsed
