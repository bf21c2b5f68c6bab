"""Many clients go through an outage of all servers, and meet them as they return."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import partial

from tests.simulation.clients import NAMES, Client
from tests.simulation.rules import Broken
from tests.simulation.servers import Server
from tests.simulation.timeline import Timeline

# Seconds of ordinary work before the outage, and after it.
BEFORE = 20.0
AFTER = 10.0
# Calls that a client begins in a second.
RATE = 0.5
# How much the first second after an outage may bring, in multiples of ordinary load; and what must be done of all calls
# that begin within ten seconds after it.
HIGHEST = 1.2
DONE = 0.95


@dataclass(frozen=True)
class Outage:
    """What an outage came to: requests that servers got in a second before it, and in the first one after it."""

    replicas: int
    clients: int
    seconds: float
    ordinary: float
    first: int
    done: float

    def __str__(self) -> str:
        return (
            f"{self.clients} clients of {self.replicas} replicas, all of which were down for {self.seconds:.0f} s: "
            f"{self.first / self.ordinary:.2f} times the ordinary load in the first second after it, "
            f"{self.done:.1%} of the calls of the first ten seconds done"
        )


def outage_of_all(seed: int, replicas: int, clients: int, seconds: float) -> Outage:
    """Run it; raises Broken where clients return as a herd."""
    chance, timeline = random.Random(seed), Timeline()
    servers = {name: Server(name, timeline, chance) for name in NAMES[:replicas]}
    everyone = [Client(timeline, servers, list(servers), chance) for _ in range(clients)]
    back = BEFORE + seconds
    for client in everyone:
        _keep_calling(client, timeline, chance, back + AFTER)
    for server in servers.values():
        timeline.at(BEFORE, server.crash)
        timeline.at(back, partial(server.become, "up"))
    timeline.run(back)
    failed = sum(len(client.rules.failed) for client in everyone)
    timeline.run()
    for client in everyone:
        client.rules.all_over()
    failed = sum(len(client.rules.failed) for client in everyone) - failed
    received = [moment for server in servers.values() for moment in server.received]
    outage = Outage(
        replicas=replicas,
        clients=clients,
        seconds=seconds,
        ordinary=sum(BEFORE / 2 <= moment < BEFORE for moment in received) / (BEFORE / 2),
        first=sum(back <= moment < back + 1.0 for moment in received),
        done=1.0 - failed / (clients * RATE * AFTER),
    )
    if outage.first > HIGHEST * outage.ordinary or outage.done < DONE:
        raise Broken(f"a herd returned: {outage}")
    return outage


def _keep_calling(client: Client, timeline: Timeline, chance: random.Random, end: float) -> None:
    # Calls of one client come evenly, so that few seconds have more of them by chance; no two clients keep step.
    between = 1.0 / (RATE * chance.uniform(0.5, 1.5))

    def call() -> None:
        client.call(key=chance.randbytes(2))
        plan(timeline.now + between)

    def plan(moment: float) -> None:
        if moment < end:
            timeline.at(moment, call)

    plan(between * chance.random())
