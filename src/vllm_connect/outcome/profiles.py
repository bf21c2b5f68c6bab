"""How answers end on other kinds of server than vLLM: a table, chosen by what is known of the server.

vLLM closes every stream by `[DONE]` and every choice by a finish reason, so that the lack of either says that it broke
off. Others leave out the one or the other in good answers. None is taken for good that shows neither.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vllm_connect.facts import ServerFacts
from vllm_connect.outcome.attempt import Attempt
from vllm_connect.outcome.judgement import judge

__all__ = ["PROFILES", "STRICT", "Profile", "may_be_whole", "profile_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One kind of server: by which owners of its models it is known, and what a good answer of it may lack."""

    name: str
    owners: frozenset[str] = frozenset()
    may_lack_end_mark: bool = False
    may_lack_finish_reason: bool = False
    source: str

    def read(self, attempt: Attempt) -> Attempt:
        """Return an attempt as it is judged on such a server: with what it may lack, where it shows the other."""
        has_reasons = bool(attempt.finish_reasons) and None not in attempt.finish_reasons
        if self.may_lack_end_mark and has_reasons:
            attempt = replace(attempt, has_end_mark=True)
        if self.may_lack_finish_reason:
            reasons = tuple("stop" if reason is None else reason for reason in attempt.finish_reasons)
            attempt = replace(attempt, finish_reasons=reasons)
        return attempt


STRICT = Profile(
    name="vLLM, and all that is not known", source="vLLM's entrypoints; OpenAI reference, Streaming"
)

PROFILES: tuple[Profile, ...] = (
    Profile(
        name="Ollama",
        owners=frozenset({"library"}),
        may_lack_finish_reason=True,
        source="pydantic-ai #6610, #3045: no finish reason in good answers",
    ),
    Profile(
        name="llama.cpp",
        owners=frozenset({"llamacpp"}),
        may_lack_end_mark=True,
        source="ik_llama.cpp #467: no end mark",
    ),
    Profile(
        name="any other server that names an owner of its models",
        may_lack_end_mark=True,
        may_lack_finish_reason=True,
        source="mistral.rs before #1226, mlc-llm before #1325, textgen before #4778: no end mark",
    ),
)


def profile_of(facts: ServerFacts | None) -> Profile:
    """Return how answers of a server end; the strict rules for a vLLM, and where it is not known to be another."""
    if facts is None or facts.is_vllm is not False:
        return STRICT
    owners = {model.owned_by for model in facts.models}
    return next(profile for profile in PROFILES if not profile.owners or profile.owners & owners)


def may_be_whole(attempt: Attempt) -> bool:
    """Whether an answer that is not done by the strict rules would be by those of some other kind of server."""
    return any(judge(profile.read(attempt)).is_done for profile in PROFILES)
