"""What a migration is told beside the paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """`models` maps names in the code to served names; `seconds` is how long one file may take: files take
    a few on a free machine, and a busy one must not be taken for a file without end.
    """

    models: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 120.0
