"""One request from start to end: put the key on, send, judge, maybe again."""

from vllm_connect.dispatch.call import CALL, Call, current_call
from vllm_connect.dispatch.credentials import KEY_GOES_HERE, Credentials
from vllm_connect.dispatch.exposure import body_stream, error_response, masked_request, response_of
from vllm_connect.dispatch.failure import wire_failure
from vllm_connect.dispatch.sdk_sender import async_sender, redirect_refused, sync_sender
from vllm_connect.dispatch.wire_sender import Sent, asend, send

__all__ = [
    "CALL",
    "KEY_GOES_HERE",
    "Call",
    "Credentials",
    "Sent",
    "asend",
    "async_sender",
    "body_stream",
    "current_call",
    "error_response",
    "masked_request",
    "redirect_refused",
    "response_of",
    "send",
    "sync_sender",
    "wire_failure",
]
