"""Proves that no call outlives its deadline: `./dev proof deadlines [--repeat N]`.

Every fault that the simulator knows, met by a plain call and a stream of the fast lane and of the SDK's path, blocking and
asyncio, over our wire and over the SDK's transport, with retries. Whatever comes of it, the call ends by its total, and
no later than 250 ms behind it. The longest of each fault is told.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.runs import ALL, SHELLS, Run
from vllm_connect import Timeouts
from vllm_connect.simulator import Simulator
from vllm_connect.simulator.faults.table import FAULTS

TOTAL = 0.5
ALLOWED = 0.25
WIRES = ("own", "sdk")
# What cannot be kept there, and is told in docs/wire.md: fault, shell and wire.
KNOWN = {
    ("drip-head", "blocking", "sdk"): "the SDK's blocking transport looks at no clock while a head drips in",
    ("gzip-bomb", "blocking", "sdk"): "it decompresses in one piece, without our limits",
    ("gzip-bomb", "asyncio", "sdk"): "it decompresses in one piece, without our limits",
}


@dataclass(frozen=True)
class Ended:
    """One call: which way it went, and how long after its deadline it ended (below 0: before)."""

    fault: str
    way: str
    shell: str
    wire: str
    late: float
    came: str

    @property
    def is_known(self) -> bool:
        return (self.fault, self.shell, self.wire) in KNOWN

    def __str__(self) -> str:
        way = f"{self.way}, {self.shell}, {self.wire}"
        return f"{self.fault:24} {way:32} {self.late * 1000:+7.0f} ms   {self.came}"


def calls(fault: str) -> Iterator[Ended]:
    """Make the calls of every kind that meet this fault, each on a client of its own."""
    # In a process of its own: one that sends without end would hold the interpreter that measures.
    with Simulator(own_process=True) as server:
        for way, shell, wire in itertools.product(ALL, SHELLS, WIRES):
            yield _call(server, fault, way, shell, wire)


def _call(server: Simulator, fault: str, way: Callable[..., Any], shell: str, wire: str) -> Ended:
    server.faults.turn_on(fault)
    (outcome,) = Run(server, shell, wire=wire, timeouts=Timeouts(total=TOTAL))((way, ""))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some faults are of streams alone, which a plain call does not meet
        server.faults.turn_off()
    came = "answered" if outcome.error is None else type(outcome.error).__name__
    return Ended(fault, way.__name__, shell, wire, outcome.seconds - TOTAL, came)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=1)
    chosen = parser.parse_args()
    logging.getLogger("vllm_connect").setLevel(logging.ERROR)
    late: dict[str, list[Ended]] = defaultdict(list)
    for _, fault in itertools.product(range(chosen.repeat), FAULTS):
        late[fault] += calls(fault)
        print(max(late[fault], key=lambda one: one.late), flush=True)
    everything = [one for ended in late.values() for one in ended]
    every = [one for one in everything if not one.is_known]
    too_late = [one for one in every if one.late > ALLOWED]
    by_deadline = sum(one.late > 0 for one in every)
    print(
        f"\n{len(every)} calls under {len(late)} faults, {by_deadline} of them ended by their deadline, the latest "
        f"{max(one.late for one in every) * 1000:.0f} ms behind it; {len(too_late)} were later than {ALLOWED * 1000:.0f} ms"
    )
    for one in too_late:
        print(f"  {one}")
    for (fault, shell, wire), reason in KNOWN.items():
        print(f"  not counted: {fault}, {shell}, {wire}: {reason}")
    return 1 if too_late else 0


if __name__ == "__main__":
    sys.exit(main())
