"""Simulates replicas and clients on a virtual clock: `./dev proof simulation [--scenarios N] [--first N] [--seed N]`.

A seed is a scenario: servers that crash, stop, hang, are full, wrong or slow and come back, and clients that make calls
by the code that ships: the loop of attempts, the group of replicas, the budget, the outcomes. After each step the rules
of `tests/simulation/rules.py` are checked. A seed that breaks one is printed with the command that runs it again, step
by step and bit for bit. At the end a thousand clients go through an outage of all servers together.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator

from tests.simulation.outage import outage_of_all
from tests.simulation.rules import Broken
from tests.simulation.scenarios import Summary, run

CHUNK = 500
# Clients and seconds of an outage, once for each number of replicas.
CLIENTS = 1000
OUTAGE = 60.0


def summed(seeds: range) -> Summary:
    """Run some scenarios; raises Broken, naming the seed, where a rule does not hold."""
    summary = Summary()
    for seed in seeds:
        try:
            summary.add(run(seed))
        except Exception as error:
            raise Broken(f"seed {seed} {error!r}\n  ./dev proof simulation --seed {seed}") from error
    return summary


def chunks(first: int, number: int) -> Iterator[range]:
    """The seeds in pieces, one for a process at a time."""
    for begin in range(first, first + number, CHUNK):
        yield range(begin, min(begin + CHUNK, first + number))


def replay(seed: int) -> int:
    """Run one scenario and print its steps."""
    trace: list[str] = []
    try:
        run(seed, trace)
    except Broken as error:
        print(*trace, sep="\n")
        print(f"seed {seed} breaks a rule: {error}", file=sys.stderr)
        return 1
    print(*trace, sep="\n")
    print(f"seed {seed} keeps all rules")
    return 0


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenarios", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="run this one scenario, and print its steps")
    chosen = parser.parse_args()
    if chosen.seed is not None:
        return replay(chosen.seed)
    begun, summary = time.monotonic(), Summary()
    try:
        with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as processes:
            for part in processes.imap_unordered(summed, chunks(chosen.first, chosen.scenarios)):
                summary.add(part)
        summary.check()
        outages = [
            outage_of_all(seed, replicas, CLIENTS, OUTAGE) for seed, replicas in enumerate((1, 2, 3, 8))
        ]
    except Broken as error:
        print(error, file=sys.stderr)
        return 1
    print(
        f"{summary.scenarios} scenarios in {time.monotonic() - begun:.0f} s: {summary.calls} calls, of which"
    )
    print(
        f"{summary.failed} ended with an error and {summary.sent_again} times one was sent again; no rule was broken"
    )
    for number in sorted(summary.keys):
        moved = summary.moved[number] / summary.keys[number]
        print(
            f"one of {number} replicas went: {moved:.1%} of {summary.keys[number]} keys moved (1/N is {1 / number:.1%})"
        )
    print(*outages, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
