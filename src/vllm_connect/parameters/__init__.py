"""What a request's parameters mean on a server with these facts; pure."""

from vllm_connect.parameters.adaptation import Action, Adaptation
from vllm_connect.parameters.dialect import Dialect
from vllm_connect.parameters.fitting import Fit, question_of, room_for
from vllm_connect.parameters.roles import folded
from vllm_connect.parameters.thinking import template_kwargs
from vllm_connect.parameters.verdict import (
    Mode,
    Verdict,
    has_old_reasoning,
    is_doubtful,
    looked_over,
    nearest,
)

__all__ = [
    "Action",
    "Adaptation",
    "Dialect",
    "Fit",
    "Mode",
    "Verdict",
    "folded",
    "has_old_reasoning",
    "is_doubtful",
    "looked_over",
    "nearest",
    "question_of",
    "room_for",
    "template_kwargs",
]
