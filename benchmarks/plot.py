"""The CPU of each side as bars on a logarithmic scale, written as SVG: no library is needed for a few rectangles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final

from benchmarks.goals import Side
from benchmarks.runs import Result

_COLOURS: Final[dict[Side, str]] = {"openai": "#9aa5b1", "ours": "#2f6fde", "floor": "#d9dee4"}
_LEFT, _WIDTH, _RIGHT = 290, 520, 130
_TOP, _BAR, _GAP = 64, 15, 16


def svg(results: Sequence[Result], caption: str) -> str:
    """Draw the scenarios that have a CPU figure, in the order of the table."""
    shown = [result for result in results if "cpu_us" in result.medians["ours"]]
    values = [figures["cpu_us"] for result in shown for figures in result.medians.values()]
    scale = _Scale(values or [1.0])
    bottom = _TOP + sum(len(result.medians) * _BAR + _GAP for result in shown)
    width, height = _LEFT + _WIDTH + _RIGHT, bottom + 52
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        _text(16, 26, "Client CPU per unit, microseconds (logarithmic; shorter is better)", size=15),
        *_legend(),
        *scale.lines(bottom),
    ]
    top = _TOP
    for result in shown:
        parts += _group(result, top, scale)
        top += len(result.medians) * _BAR + _GAP
    return "\n".join([*parts, _text(16, height - 10, caption, size=10), "</svg>", ""])


class _Scale:
    """From a power of ten below all values to one above."""

    def __init__(self, values: Sequence[float]) -> None:
        self._low = math.floor(math.log10(min(values)))
        self._high = math.ceil(math.log10(max(values)))

    def length(self, value: float) -> float:
        return _WIDTH * (math.log10(value) - self._low) / max(self._high - self._low, 1)

    def lines(self, bottom: float) -> list[str]:
        powers = range(self._low, self._high + 1)
        places = [(_LEFT + self.length(10.0**power), f"{10.0**power:,g}") for power in powers]
        return [
            part
            for x, label in places
            for part in (
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 6}" y2="{bottom}" stroke="#e3e7eb"/>',
                _text(x, bottom + 14, label, anchor="middle", size=11),
            )
        ]


def _text(x: float, y: float, content: str, *, anchor: str = "start", size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(content)}</text>'


def _legend() -> list[str]:
    places = [(_LEFT + 90 * number, side) for number, side in enumerate(_COLOURS)]
    return [
        part
        for x, side in places
        for part in (
            f'<rect x="{x}" y="38" width="11" height="11" fill="{_COLOURS[side]}"/>',
            _text(x + 16, 48, side),
        )
    ]


def _group(result: Result, top: float, scale: _Scale) -> list[str]:
    parts = [_text(_LEFT - 10, top + len(result.medians) * _BAR / 2 + 4, result.scenario.title, anchor="end")]
    ratio = result.medians["openai"]["cpu_us"] / result.medians["ours"]["cpu_us"]
    for number, (side, figures) in enumerate(result.medians.items()):
        value, y = figures["cpu_us"], top + number * _BAR
        length = scale.length(value)
        label = f"{value:,.1f}" + (f"  ({ratio:.1f} x less)" if side == "ours" else "")
        parts += [
            f'<rect x="{_LEFT}" y="{y}" width="{length:.1f}" height="{_BAR - 2}" fill="{_COLOURS[side]}"/>',
            _text(_LEFT + length + 6, y + _BAR - 4, label, size=11),
        ]
    return parts
