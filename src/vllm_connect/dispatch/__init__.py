"""One request from start to end: put the key on, send, judge, maybe again.

Senders, and the wire below them, are imported from their modules: with the first client, not with the package.
"""

from vllm_connect.dispatch.call import CALL, NO_SUBJECT, Call, Subject, current_call
from vllm_connect.dispatch.credentials import KEY_GOES_HERE, Credentials
from vllm_connect.dispatch.replica_set import Member, ReplicaSet

__all__ = [
    "CALL",
    "KEY_GOES_HERE",
    "NO_SUBJECT",
    "Call",
    "Credentials",
    "Member",
    "ReplicaSet",
    "Subject",
    "current_call",
]
