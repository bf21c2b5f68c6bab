"""Named checks that yield findings, one after the other; `doctor` is made of them."""

from vllm_connect.checks.check import Check, Finding, Status, Told, explained, fail, failed, ok, skipped, warn
from vllm_connect.checks.run import findings

__all__ = [
    "Check",
    "Finding",
    "Status",
    "Told",
    "explained",
    "fail",
    "failed",
    "findings",
    "ok",
    "skipped",
    "warn",
]
