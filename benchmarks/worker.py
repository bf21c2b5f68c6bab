"""One measurement in a process of its own: `python -m benchmarks.worker SCENARIO SIDE SERVER [--profile]`."""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
from dataclasses import asdict

from benchmarks.measurements import Server
from benchmarks.meter import Meter
from benchmarks.processor import pin
from benchmarks.scenarios import TABLE

_SHOWN = 25


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("scenario")
    parser.add_argument("side")
    parser.add_argument("server", type=json.loads)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    (scenario,) = (row for row in TABLE if row.name == options.scenario)
    pin(min)
    profile = cProfile.Profile() if options.profile else None
    measured = scenario.work(options.side, Server(**options.server), Meter(profile))
    if profile is None:
        print(json.dumps(asdict(measured)))
    else:
        pstats.Stats(profile).sort_stats("tottime").print_stats(_SHOWN)


if __name__ == "__main__":
    main()
