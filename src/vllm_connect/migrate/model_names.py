"""The names of models that OpenAI alone serves."""

from __future__ import annotations

import re

__all__ = ["NAMES", "SHORT_NAMES"]

# A whole literal of this form is the name of a model wherever it stands; gpt-oss is one that vLLM serves.
NAMES = re.compile(
    r"(?:ft:)?(?:gpt-\d[\w.:-]*|gpt-(?:realtime|image|audio|chat)[\w.:-]*|chatgpt-[\w.:-]+|text-embedding-[\w.-]+"
    r"|text-(?:davinci|curie|babbage|ada|moderation|similarity|search)-[\w.-]+|code-(?:davinci|cushman)-\d+"
    r"|codex-mini[\w.-]*|davinci-002|babbage-002|whisper-1|tts-1(?:-hd)?|dall-e-\d|omni-moderation-[\w.-]+"
    r"|o[1-9]-(?:mini|preview|pro|deep-research)[\w.-]*|o[1-9]-\d{4}-\d\d-\d\d)"
)
# What is the name of a model only where one is asked for.
SHORT_NAMES = re.compile(r"o[1-9]|davinci|curie|babbage|ada")
