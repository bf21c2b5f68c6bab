"""A request as the SDK sends it: parameters in their places, the answer as a stream with its usage."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["arranged", "streamed"]


def streamed(create: Callable[..., Any], parameters: Mapping[str, Any], **given: Any) -> Any:
    """Send a request; return its stream, which is closed by leaving its context, and with it the request."""
    asked = {"stream_options": {"include_usage": True}, **parameters}
    # The one argument of a chat that is neither the SDK's nor a field of the body.
    own = {"thinking": asked.pop("thinking")} if "messages" in given and "thinking" in asked else {}
    return create(**given, **own, **arranged(asked, create), stream=True)


def arranged(parameters: Mapping[str, Any], create: Callable[..., Any]) -> dict[str, Any]:
    """Return parameters as arguments of the SDK's `create`: those it does not know go as `extra_body`."""
    known = inspect.signature(create).parameters
    arguments = {name: value for name, value in parameters.items() if name in known}
    beyond = {name: value for name, value in parameters.items() if name not in known}
    return {**arguments, "extra_body": beyond} if beyond else arguments
