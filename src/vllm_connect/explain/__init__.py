"""What happened and what to do, for every error of a call: tables of rules over what is known of it; pure."""

from vllm_connect.explain.case import Case, Kind
from vllm_connect.explain.rule import Rule, Told
from vllm_connect.explain.rules import RULES, told
from vllm_connect.explain.words import printable, shape_text, status_text

__all__ = ["RULES", "Case", "Kind", "Rule", "Told", "printable", "shape_text", "status_text", "told"]
