"""One request from start to end: put the key on, send, judge, maybe again."""

from vllm_connect.dispatch.call import CALL, Call, current_call
from vllm_connect.dispatch.credentials import KEY_GOES_HERE, Credentials
from vllm_connect.dispatch.sdk_sender import async_sender, sync_sender

__all__ = ["CALL", "KEY_GOES_HERE", "Call", "Credentials", "async_sender", "current_call", "sync_sender"]
