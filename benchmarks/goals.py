"""What a measurement must reach: a rule over the figures of each side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

Side = Literal["openai", "ours", "floor"]
Figures = Mapping[Side, Mapping[str, float]]
"""By side, then by name of figure."""


class Goal(Protocol):
    """One rule; `value` is what it judges."""

    def value(self, figures: Figures) -> float: ...
    def reached(self, figures: Figures) -> bool: ...
    def told(self, figures: Figures) -> str: ...


@dataclass(frozen=True, slots=True)
class AtLeastTimes:
    """Ours takes so many times less CPU than openai."""

    times: float

    def value(self, figures: Figures) -> float:
        return figures["openai"]["cpu_us"] / figures["ours"]["cpu_us"]

    def reached(self, figures: Figures) -> bool:
        return self.value(figures) >= self.times

    def told(self, figures: Figures) -> str:
        return f"{self.value(figures):.1f} times less CPU than openai; at least {self.times:g}"


@dataclass(frozen=True, slots=True)
class AtMost:
    """A figure of ours stays below a bound."""

    figure: str
    bound: float
    meaning: str

    def value(self, figures: Figures) -> float:
        return figures["ours"][self.figure]

    def reached(self, figures: Figures) -> bool:
        return self.value(figures) <= self.bound

    def told(self, figures: Figures) -> str:
        return f"{self.meaning}: {self.value(figures):.1f}; at most {self.bound:g}"


@dataclass(frozen=True, slots=True)
class AtMostMore:
    """A figure of ours is at most so much above another side's."""

    figure: str
    allowance: float
    than: Side
    meaning: str

    def value(self, figures: Figures) -> float:
        return figures["ours"][self.figure] - figures[self.than][self.figure]

    def reached(self, figures: Figures) -> bool:
        return self.value(figures) <= self.allowance

    def told(self, figures: Figures) -> str:
        return f"{self.meaning}: {self.value(figures):+.2f}; at most {self.allowance:+g}"
