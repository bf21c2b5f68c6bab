"""Asks a server what it is and whether it is ready; I/O-free flows that a client drives."""

from vllm_connect.discovery.agreement import Disagreement, disagreements
from vllm_connect.discovery.ask import Ask, Reply
from vllm_connect.discovery.catalogue import discover_models
from vllm_connect.discovery.facts import discover_dialect, discover_facts
from vllm_connect.discovery.readiness import Pause, Progress, Ready, Waiting, probe_readiness

__all__ = [
    "Ask",
    "Disagreement",
    "Pause",
    "Progress",
    "Ready",
    "Reply",
    "Waiting",
    "disagreements",
    "discover_dialect",
    "discover_facts",
    "discover_models",
    "probe_readiness",
]
