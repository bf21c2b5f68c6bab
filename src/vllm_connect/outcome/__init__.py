"""What became of an attempt: facts in, one of six outcomes out, and whether another try may follow; pure."""

from vllm_connect.outcome.attempt import Attempt, Ending, Reading
from vllm_connect.outcome.completeness import unknown_finish_reasons
from vllm_connect.outcome.judgement import CASES, Again, Blame, Case, Outcome, Verdict, judge, judged

__all__ = [
    "CASES",
    "Again",
    "Attempt",
    "Blame",
    "Case",
    "Ending",
    "Outcome",
    "Reading",
    "Verdict",
    "judge",
    "judged",
    "unknown_finish_reasons",
]
