"""What the client costs, beside plain openai in the same run: `./dev bench`. Ratios count; times are this machine's."""

from __future__ import annotations

import argparse

from benchmarks.runs import measured, profiled, responder
from benchmarks.scenarios import TABLE


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    names = [scenario.name for scenario in TABLE]
    parser.add_argument("name", nargs="*", help=f"{', '.join(names)}; without a name, all but soak")
    parser.add_argument("--rounds", type=int, default=3, help="how often each side is measured (default: 3)")
    parser.add_argument("--profile", action="store_true", help="only show where ours spends its time")
    options = parser.parse_args()
    if unknown := set(options.name) - set(names):
        parser.error(f"no measurement is named {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    chosen = [row for row in TABLE if (row.name in options.name if options.name else row.default)]
    with responder() as server:
        for scenario in chosen:
            if options.profile:
                profiled(scenario, server)
                continue
            result = measured(scenario, server, rounds=options.rounds)
            print(result.scenario.title)
            for side, figures in result.medians.items():
                print(f"    {side:8}", "  ".join(f"{name} {value:.2f}" for name, value in figures.items()))
            for goal in scenario.goals:
                verdict = "reached" if goal.reached(result.medians) else "MISSED"
                print(f"    {verdict}: {goal.told(result.medians)}", flush=True)


if __name__ == "__main__":
    main()
