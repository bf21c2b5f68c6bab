"""How the families of reasoning models are told to think or not: a table by the model's name.

Sources: vLLM 0.32.0, reasoning/ and parser/ (which value of `chat_template_kwargs` each parser reads), vLLM's page on
reasoning outputs, and the models' own cards. A family that thinks always, or is steered by `reasoning_effort` alone, has no switch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["FAMILIES", "Family", "family_of"]


@dataclass(frozen=True)
class Family:
    """One family: the pattern of its models' names, and the name of its switch, empty for none.

    Without one its models always think, or never: `thinks` says which, and `instead` what else there is.
    """

    name: str
    pattern: str
    switch: str = ""
    thinks: bool = True
    instead: str = ""


# The first that fits counts: the narrower names stand above.
FAMILIES = (
    Family("Qwen3 Thinking", r"qwen-?3.*thinking|qwq"),
    Family(
        "Qwen3 Instruct",
        r"qwen-?3.*(2507|next|vl).*instruct|qwen-?3.*instruct.*2507|qwen-?3-?coder",
        thinks=False,
    ),
    Family("Qwen3", r"qwen-?3", "enable_thinking"),
    Family("DeepSeek-R1", r"deepseek-r1"),
    Family("DeepSeek-V3.1 and later", r"deepseek-v(3[.-][1-9]|[4-9])", "thinking"),
    Family("IBM Granite", r"granite-(3\.[2-9]|[4-9])", "thinking"),
    Family("Kimi", r"kimi-k(2\.[5-9]|[3-9])", "thinking"),
    Family("Kimi K2 Thinking", r"kimi-k2-thinking"),
    Family("Holo2", r"holo-?2", "thinking"),
    Family("GLM", r"glm-?(4\.[5-9]|[5-9])", "enable_thinking"),
    Family("Gemma 4", r"gemma-?4", "enable_thinking"),
    Family("Nemotron 3", r"nemotron-?3|nemotron.*nano-v[23]", "enable_thinking"),
    Family("Hunyuan", r"hunyuan-?a13b", "enable_thinking"),
    Family("MiMo", r"mimo", "enable_thinking"),
    Family("PLaMo 3", r"plamo-?3", "enable_thinking"),
    Family("gpt-oss", r"gpt-oss", instead='reasoning_effort="low" makes it short'),
    Family("MiniMax-M2", r"minimax-m2"),
)


def family_of(*names: str | None) -> Family | None:
    """Return the family of a model by any of its names, its served one or the one that it was loaded by."""
    for name in names:
        for family in FAMILIES:
            if name and re.search(family.pattern, name, re.IGNORECASE):
                return family
    return None
