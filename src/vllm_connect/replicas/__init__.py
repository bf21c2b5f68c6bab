"""Which replica a request goes to, and what may be tried again; pure, with clock and chance passed in."""

from vllm_connect.replicas.affinity import prefix_key
from vllm_connect.replicas.budget import Budget
from vllm_connect.replicas.group import MOST_CRASHES, Group
from vllm_connect.replicas.replica import ReplicaState, Standing

__all__ = ["MOST_CRASHES", "Budget", "Group", "ReplicaState", "Standing", "prefix_key"]
