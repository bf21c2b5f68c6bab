"""`thinking=True|False`: what that is in the words of a model's family; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vllm_connect.errors import ParameterRefused
from vllm_connect.facts.thinking import FAMILIES, family_of

__all__ = ["template_kwargs"]


def template_kwargs(
    given: Mapping[str, Any] | None, names: tuple[str | None, ...], server: str, *, wanted: bool
) -> dict[str, Any] | None:
    """Return the `chat_template_kwargs` for a model of these names, with those given added; None for none.

    Raises ParameterRefused where the family is not known, or has no such switch.
    """
    family = family_of(*names)
    own = dict(given or {})
    if family is None:
        known = ", ".join(f"{one.name} ({one.switch})" for one in FAMILIES if one.switch)
        raise _refused(
            f"How the model {names[0]!r} is told to think or not is not known. Name its switch yourself, as in "
            f'chat_template_kwargs={{"enable_thinking": {wanted}}}. Known are {known}.',
            server,
        )
    if family.switch:
        return {family.switch: wanted, **own}
    if family.thinks is not wanted:
        always = "always thinks" if family.thinks else "never thinks"
        instead = f" ({family.instead})" if family.instead else ""
        raise _refused(
            f"The model {names[0]!r} ({family.name}) {always}{instead}; leave `thinking` out.", server
        )
    return own or None


def _refused(message: str, server: str) -> ParameterRefused:
    return ParameterRefused(message, server=server, parameters=("thinking",))
