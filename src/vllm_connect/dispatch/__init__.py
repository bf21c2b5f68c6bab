"""One request from start to end: put the key on, send, judge, maybe again.

Senders, and the wire below them, are imported from their modules: with the first client, not with the package.
"""

from vllm_connect.dispatch.call import CALL, Call, current_call
from vllm_connect.dispatch.credentials import KEY_GOES_HERE, Credentials

__all__ = ["CALL", "KEY_GOES_HERE", "Call", "Credentials", "current_call"]
