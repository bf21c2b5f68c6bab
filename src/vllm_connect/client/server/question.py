"""One call of a route beside the OpenAI API, as a value: what is sent, and how the answer is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypedDict, TypeVar
from urllib.parse import urlencode

import openai

if TYPE_CHECKING:
    import httpx2

    from vllm_connect.settings import Timeouts

__all__ = ["CallOptions", "Question"]

T = TypeVar("T")


class CallOptions(TypedDict, total=False):
    """What every call takes beside its own arguments, as the SDK's `create` does."""

    extra_headers: Mapping[str, str]
    extra_query: Mapping[str, object]
    extra_body: Mapping[str, object]
    timeout: float | httpx2.Timeout | None
    timeouts: Timeouts


@dataclass(frozen=True)
class Question(Generic[T]):
    """A request and the meaning of its answer.

    `path` is below the server's root, or below the API for a route of the API (`own_route` False). `read` makes
    the result of a successful answer, and raises ValueError for one of another shape; `statuses` holds what else
    is an answer and no failure. `tries_again` is False where a repetition would be refused or is of no use.
    `changes_models` says that the list of models is another one afterwards. `is_of_one` says that it asks or changes
    one server, so that any of several replicas is not as good as another.
    """

    method: Literal["get", "post"]
    path: str
    read: Callable[[httpx2.Response], T]
    options: CallOptions
    body: Mapping[str, object] | None = None
    query: Mapping[str, object] = field(default_factory=dict)
    own_route: bool = True
    statuses: Mapping[int, T] = field(default_factory=dict)
    tries_again: bool = True
    changes_models: bool = False
    is_of_one: bool = False

    def request_options(self, url: str, default_query: Mapping[str, object]) -> dict[str, Any]:
        """Return the request as the SDK's options name its parts; `default_query` is what every call has."""
        given = self.options
        for name in given:
            if name not in CallOptions.__annotations__:
                raise TypeError(
                    f"The call of {self.path} has no argument `{name}`. Is it spelt right? What vLLM takes beside "
                    f"the arguments goes into extra_body={{...}}."
                )
        timeout: Any = given.get("timeout", openai.NOT_GIVEN)
        if "timeouts" in given:
            if not isinstance(timeout, openai.NotGiven):
                raise TypeError("Give `timeout` or `timeouts`, not both.")
            timeout = given["timeouts"]
        url, params = self._queried(url, default_query)
        options: dict[str, Any] = {
            "method": self.method,
            "url": url,
            "json_data": self.body,
            "extra_json": given.get("extra_body"),
            "params": params,
            "headers": given.get("extra_headers", openai.NOT_GIVEN),
            "timeout": timeout,
        }
        return options if self.tries_again else {**options, "max_retries": 0}

    def _queried(self, url: str, default_query: Mapping[str, object]) -> tuple[str, Mapping[str, object]]:
        """Return the URL with the query of this call, and what is left to the SDK.

        The SDK writes a list in brackets, where vLLM does not look, and drops all but one of a name that the URL
        repeats when it adds to it: here everything goes into the URL, and nothing is added.
        """
        extra = self.options.get("extra_query", {})
        if not self.query:
            return url, extra
        query = urlencode({**default_query, **self.query, **extra}, doseq=True)
        return f"{url}?{query}", dict.fromkeys(default_query, openai.omit)

    def meaning(self, error: openai.APIStatusError) -> T:
        """Return what an error status means; raises it where it is a failure."""
        if error.status_code in self.statuses:
            return self.statuses[error.status_code]
        raise error
