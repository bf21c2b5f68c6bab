"""Scenarios by seed: some servers, a client or two, their calls, and what goes wrong meanwhile."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from tests.simulation.clients import MOST_SERVERS, NAMES, Client
from tests.simulation.rules import Broken
from tests.simulation.servers import ENGINE_DEAD, FULL, LOST, WRONG, Server
from tests.simulation.timeline import Timeline
from vllm_connect.dispatch.replica_set import Member

# The share of calls that have a key, and of those that stream.
KEYED = 0.7
STREAMED = 0.3
# Seconds after which a server that has become slow has lost most of its share, and how much it may keep.
SLOW_FOR = 10.0
SHARE_KEPT = 0.2
# Seconds until which that is looked at: long enough for a share to be more than chance.
END = 60.0


@dataclass
class World:
    """One scenario under way; all its chance comes from the seed."""

    seed: int
    number: int
    trace: list[str] | None = None
    timeline: Timeline = field(default_factory=Timeline)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.servers = {name: Server(name, self.timeline, self.chance) for name in NAMES[: self.number]}
        self.clients: list[Client] = []

    def client(self) -> Client:
        client = Client(self.timeline, self.servers, list(self.servers), self.chance)
        client.rules.trace = self.trace
        self.clients.append(client)
        return client

    def plan(self, moment: float, words: str, act: Callable[[], None]) -> None:
        """Have something happen."""

        def happen() -> None:
            if self.trace is not None:
                self.trace.append(f"{self.timeline.now:9.3f}  {words}")
            act()

        self.timeline.at(moment, happen)

    def calls(
        self,
        client: Client,
        begin: float,
        end: float,
        rate: float,
        *,
        total: float = 60.0,
        max_retries: int = 2,
    ) -> None:
        """Plan calls at random moments, `rate` a second; most have one of a few keys, some stream."""
        moment, chance = begin, self.chance
        while (moment := moment + chance.expovariate(rate)) < end:
            key = b"%d" % min(int(chance.paretovariate(1.1)), 50) if chance.random() < KEYED else None
            call = partial(client.call, key=key, streamed=chance.random() < STREAMED)
            self.timeline.at(moment, partial(call, total=total, max_retries=max_retries))

    def finish(self) -> Summary:
        """Run to the end."""
        self.timeline.run()
        for client in self.clients:
            client.rules.all_over()
        return Summary(
            scenarios=1,
            calls=sum(client.rules.calls for client in self.clients),
            failed=sum(len(client.rules.failed) for client in self.clients),
            sent_again=sum(client.rules.sent_again for client in self.clients),
        )


@dataclass
class Summary:
    """What scenarios came to."""

    scenarios: int = 0
    calls: int = 0
    failed: int = 0
    sent_again: int = 0
    keys: Counter[int] = field(default_factory=Counter)
    moved: Counter[int] = field(default_factory=Counter)

    def add(self, other: Summary) -> None:
        self.scenarios += other.scenarios
        self.calls += other.calls
        self.failed += other.failed
        self.sent_again += other.sent_again
        self.keys += other.keys
        self.moved += other.moved

    def check(self) -> None:
        """Raise Broken where too many keys moved when one of N replicas went."""
        for number, keys in self.keys.items():
            if self.moved[number] > keys * (1 / number + 0.01):
                raise Broken(f"{self.moved[number]} of {keys} keys moved when one of {number} replicas went")


def run(seed: int, trace: list[str] | None = None) -> Summary:
    """Run the scenario of a seed; raises Broken where a rule does not hold."""
    chance = random.Random(seed)
    (scenario,) = chance.choices([one_fails, all_sorts, storm, one_leaves, one_is_slow], [40, 50, 4, 4, 2])
    number = chance.randint(2, MOST_SERVERS if scenario is one_leaves else 5)
    return scenario(World(seed, number, trace))


def one_fails(world: World) -> Summary:
    """One of several servers fails in one way: no caller sees an error that could be avoided."""
    chance, bad = world.chance, world.chance.choice(list(world.servers.values()))
    client = world.client()
    max_retries = chance.choice([1, 2, 5])
    world.calls(client, 0.0, 5.0, chance.choice([2.0, 5.0, 10.0]), max_retries=max_retries)
    moment = chance.uniform(0.2, 3.0)
    if chance.random() < 0.3:
        world.calls(client, moment - 0.2, moment, 300.0, max_retries=max_retries)
    _plan_fault(world, bad, moment, chance.choice(["crash", "stop", "full", "wrong", "hung"]))
    summary = world.finish()
    if client.rules.failed:
        raise Broken(f"an error was seen though all other servers were well: {client.rules.failed[0]}")
    return summary


def all_sorts(world: World) -> Summary:
    """Several servers fail in several ways and come back; one may be excluded, and a request be poison."""
    chance = world.chance
    for _ in range(chance.choice([1, 1, 2])):
        client = world.client()
        world.calls(client, 0.0, 8.0, chance.choice([1.0, 3.0, 6.0]), total=chance.choice([3.0, 30.0, 60.0]))
        if chance.random() < 0.1:
            client.replicas.group.exclude(chance.choice(list(world.servers)), "serves another model")
        if chance.random() < 0.2:
            world.timeline.at(chance.uniform(0, 8), partial(client.call, is_poison=True))
    for _ in range(chance.randint(1, 4)):
        fault = chance.choice(["crash", "stop", "full", "wrong", "hung", "slow"])
        _plan_fault(world, chance.choice(list(world.servers.values())), chance.uniform(0.0, 8.0), fault)
    return world.finish()


def storm(world: World) -> Summary:
    """All servers fail a part of the calls, up to all of them: what they are sent again stays in the budget."""
    chance, client = world.chance, world.client()
    failing, failure = chance.random(), chance.choice([FULL, WRONG, LOST, ENGINE_DEAD])
    for server in world.servers.values():
        server.failing, server.failure = failing, failure
    world.calls(client, 0.0, 8.0, 25.0, max_retries=chance.choice([2, 9]))
    return world.finish()


def one_leaves(world: World) -> Summary:
    """A replica is taken out while calls run, and comes back: only its own keys move, and they come back to it."""
    client = world.client()
    replicas, group, everyone = client.replicas, client.replicas.group, client.replicas.members
    keys = [world.chance.randbytes(8) for _ in range(100)]
    gone = world.chance.choice(everyone)
    homes: list[dict[bytes, str | None]] = []

    def look() -> None:
        now, found = world.timeline.now, dict.fromkeys(keys)
        for key in keys:
            name = found[key] = group.pick(now, key=key)
            group.abandoned(str(name), now)
        homes.append(found)

    def have(*members: Member) -> None:
        replicas.change([member.endpoint for member in members], world.timeline.now)

    world.calls(client, 0.0, 2.0, 5.0)
    world.plan(60.0, "is quiet", look)
    world.calls(client, 60.0, 61.0, 10.0)
    others = [member for member in everyone if member != gone]
    world.plan(60.5, f"{gone.name} leaves", partial(have, *others))
    world.plan(120.0, "is quiet", look)
    world.plan(121.0, f"{gone.name} comes back", partial(have, *everyone))
    world.calls(client, 121.0, 122.0, 10.0)
    world.plan(180.0, "is quiet", look)
    summary = world.finish()
    before, without, after = homes
    moved = [key for key in keys if before[key] != without[key]]
    if any(before[key] != gone.name for key in moved):
        raise Broken("a key moved between replicas that stayed")
    if before != after:
        raise Broken("a key did not come back")
    summary.keys[world.number] += len(keys)
    summary.moved[world.number] += len(moved)
    return summary


def one_is_slow(world: World) -> Summary:
    """A server takes ten times as long: within ten seconds it loses at least 80% of its share of all calls."""
    client, slow = world.client(), world.chance.choice(list(world.servers.values()))
    world.calls(client, 0.0, END, 10.0)
    world.plan(15.0, f"{slow.name} is slow", partial(setattr, slow, "slowness", 10.0))
    summary = world.finish()

    def share(begin: float, end: float) -> float:
        received = {
            name: sum(begin <= moment < end for moment in server.received)
            for name, server in world.servers.items()
        }
        return received[slow.name] / sum(received.values())

    before, after = share(0.0, 15.0), share(15.0 + SLOW_FOR, END)
    # Few calls make few keys: what it had before may be less than an even share by chance.
    if after > SHARE_KEPT * max(before, 1 / world.number):
        raise Broken(f"a slow server has {after:.0%} of the calls, before it was slow {before:.0%}")
    return summary


def _plan_fault(world: World, server: Server, moment: float, fault: str) -> None:
    """Have a server fail in one way, and come back after a while."""
    acts: dict[str, Callable[[], None]] = {
        "crash": server.crash,
        "stop": server.stop,
        "full": partial(server.become, "full"),
        "wrong": partial(server.become, "wrong"),
        "hung": partial(server.become, "hung"),
        "slow": partial(setattr, server, "slowness", 10.0),
    }

    def come_back() -> None:
        server.slowness = 1.0
        server.become("up")

    world.plan(moment, f"{server.name}: {fault}", acts[fault])
    world.plan(moment + world.chance.choice([0.3, 2.0, 5.0, 20.0]), f"{server.name} is back", come_back)
