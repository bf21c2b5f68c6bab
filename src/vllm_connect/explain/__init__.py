"""What happened and what to do, for every error of a call: tables of rules over what is known of it; pure.

Here is what is needed without an error; `rules.told` is loaded with the first one.
"""

from vllm_connect.explain.words import shape_text, status_text

__all__ = ["shape_text", "status_text"]
