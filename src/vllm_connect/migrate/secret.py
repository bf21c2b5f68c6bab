"""Hides what may be a key in a text that is to be shown."""

from __future__ import annotations

import re

__all__ = ["masked"]

MASK = "***"
# What is a key wherever it stands: of OpenAI and others that name theirs alike, tokens with a known head, JWTs.
KEY = re.compile(
    r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{6,}|\b(?:gh[pousr]|github_pat|hf|glpat|xox[abp]|AKIA|AIza)[_-]?[A-Za-z0-9_-]{12,}"
    r"|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"
)
NAME = r"(?<![\w.-])(?i:[\w.-]*(?:api[-_]?key|[-_]key|secret|token|passw(?:or)?d|credentials?))"
# A text in quotes that is given to a name which says that it is a key: `api_key="..."`, `"api_key": "..."`.
QUOTED = re.compile(
    rf"""({NAME}["']?\]?\s*(?:[:=]{{1,2}}|,|:[^=\n"']{{1,60}}=)\s*[rbfRBF]?)(["'`])((?:(?!\2)[^\\\n]|\\.)+)\2"""
)
# The same without quotes, as in files of settings; in code it is a name or a call, and no key.
BARE = re.compile(rf"""({NAME}["']?[ \t]*(?:=|:[ \t])[ \t]*)()([^\s"'$(){{}}\[\]<>#,;`]+)(?=[\s,;]|$)""")
# Kubernetes has the name on one line and the value on the next.
NAMED = re.compile(rf"""(name:[ ]*["']?{NAME}["']?[ ]*\r?\n[ ]*value:[ ]*)(["']?)([^\s"'#$][^\r\n"'#]*)\2""")
BEARER = re.compile(r"(\b(?i:bearer|basic)[ ]+)([\w.~+/=-]{6,})")
USER = re.compile(r"(://[^\s:/@]*:)([^\s@/]+)(?=@)")
# A header in quotes, and curl's `-u name:password`.
HEADER = re.compile(rf"""(["']{NAME}:[ ]*)()([^\s"'$]+)(?=["'])""")
LOGIN = re.compile(r"""((?:\s-u|\s--user)[ =]?["']?[^\s:"']+:)()([^\s"'$]+)""")
# What stands where there is no key, and what code has in its place.
HARMLESS = re.compile(
    r"|EMPTY|None|null|true|false|\d{1,6}|\*+|\$.*|[A-Z][A-Z0-9_]*_(?:KEY|TOKEN|SECRET)", re.IGNORECASE
)


def masked(text: str, *, is_code: bool) -> str:
    """Return a text with `***` where a key may stand; in code only texts in quotes can be one. Lines stay lines."""
    text = QUOTED.sub(_hidden, KEY.sub(MASK, text))
    if not is_code:
        text = NAMED.sub(_hidden, BARE.sub(_hidden, text))
        text = LOGIN.sub(_hidden, HEADER.sub(_hidden, text))
    return USER.sub(rf"\1{MASK}", BEARER.sub(rf"\1{MASK}", text))


def _hidden(found: re.Match[str]) -> str:
    head, quote, value = found.groups()
    return found[0] if HARMLESS.fullmatch(value.strip()) else f"{head}{quote}{MASK}{quote}"
