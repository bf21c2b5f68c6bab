"""What the client costs, beside plain openai in the same run: `./dev bench`. Ratios count; times are this machine's."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks import plot, report
from benchmarks.runs import MeasurementFailed, Result, measured, profiled, responder
from benchmarks.scenarios import TABLE, Scenario


def _options() -> argparse.Namespace:
    names = [scenario.name for scenario in TABLE]
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"{', '.join(names)}; without a name, all but soak")
    parser.add_argument("--rounds", type=int, default=3, help="how often each side is measured (default: 3)")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write every round, medians and goals there"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the CPU of each side there, as SVG")
    parser.add_argument("--strict", action="store_true", help="end with 1 if a goal is missed")
    parser.add_argument("--profile", action="store_true", help="only tell where ours spends its time")
    options = parser.parse_args()
    if unknown := set(options.name) - set(names):
        parser.error(f"no measurement is named {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return options


def _results(chosen: list[Scenario], rounds: int) -> list[Result]:
    results = []
    with responder() as server:
        for scenario in chosen:
            try:
                result = measured(scenario, server, rounds=rounds)
            except MeasurementFailed as failed:
                print(failed, file=sys.stderr, flush=True)
                continue
            print(*report.lines(result), sep="\n", flush=True)
            results.append(result)
    return results


def main() -> int:
    options = _options()
    chosen = [row for row in TABLE if (row.name in options.name if options.name else row.default)]
    if options.profile:
        with responder() as server:
            for scenario in chosen:
                profiled(scenario, server)
        return 0
    facts = report.machine()
    caption = report.machine_line(facts)
    print(caption, flush=True)
    results = _results(chosen, options.rounds)
    missed = report.missed(results)
    failed = [row.name for row in chosen if row not in [result.scenario for result in results]]
    print(*report.summary(missed, failed), sep="\n", flush=True)
    if options.json:
        options.json.write_text(json.dumps(report.document(results, facts), indent=2) + "\n")
    if options.plot:
        options.plot.write_text(plot.svg(results, caption))
    # A goal that is missed is a finding; a figure that could not be had is a failure.
    return int(bool(failed) or (options.strict and bool(missed)))


if __name__ == "__main__":
    raise SystemExit(main())
