"""Which test proves which row of the fault catalogue, or why none does; a row that names no test that exists fails.

The numbers are those of the catalogue; rows 78 to 85, 94 and 98 are about runs of many requests, which are not built
yet.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

import pytest

TESTS = Path(__file__).parent
LAST_ROW = 98


class Proof(NamedTuple):
    """The tests of one row: files and functions below `tests`, commands of `./dev`, or the reason that there is none."""

    fault: str
    tests: tuple[str, ...] = ()
    reason: str = ""


ROWS: dict[int, Proof] = {
    1: Proof("refused", ("test_dispatch.py::test_refused_connection", "test_several.py::test_away")),
    2: Proof(
        "refused while loading", ("test_readiness.py::test_wait", "live/test_clients.py::test_cold_start")
    ),
    3: Proof(
        "black hole", ("test_wire_timers.py::test_connect", "test_opening.py::test_race_past_a_black_hole")
    ),
    4: Proof("unknown name", ("test_dispatch.py::test_unreachable",)),
    5: Proof(
        "families",
        ("test_opening.py::test_one_family_listens", "test_opening.py::test_families_take_turns"),
    ),
    6: Proof("reset on accept", ("test_wire_faults.py::test_server", "test_several.py::test_moves_on")),
    7: Proof(
        "close or reset unanswered", ("test_wire_faults.py::test_fault", "test_several.py::test_moves_on")
    ),
    8: Proof("closed when idle", ("test_wire_connections.py::test_found_dead", "./dev proof keepalive")),
    9: Proof("no answer", ("test_wire_faults.py::test_fault", "test_pulse.py")),
    10: Proof("dripped head", ("test_wire_faults.py::test_fault",)),
    11: Proof(
        "dripped body",
        ("test_wire_faults.py::test_fault", "test_dispatch.py::test_dripped_stream_ends_at_its_total"),
    ),
    12: Proof("stopped process", ("test_pulse.py", "./dev proof failover")),
    13: Proof("no HTTP", ("test_wire_faults.py::test_fault", "test_dispatch.py::test_https_to_a_plain_port")),
    14: Proof("headers", ("test_wire_faults.py::test_fault",)),
    15: Proof("lengths", ("test_wire_faults.py::test_fault",)),
    16: Proof("chunks cut", ("test_wire_faults.py::test_fault",)),
    17: Proof("HTTP/1.0", ("test_wire.py::test_accepted",)),
    18: Proof("HTTP/1.0 cut", ("test_wire_faults.py::test_fault",)),
    19: Proof("interim answers", ("test_wire.py::test_accepted",)),
    20: Proof("redirect to itself", ("test_dispatch.py::test_redirects_are_refused",)),
    21: Proof("redirect elsewhere", ("test_dispatch.py::test_redirects_are_refused",)),
    22: Proof("redirect loop", ("test_wire_faults.py::test_fault",)),
    23: Proof(
        "TLS",
        (
            "test_wire_ways.py::test_refused",
            "test_opening.py::test_untrusted",
            "test_opening.py::test_old_tls",
        ),
    ),
    24: Proof("proxies", ("test_wire_ways.py::test_failing_proxy",)),
    25: Proof("proxy for loopback", ("test_dispatch.py::test_proxy_is_bypassed_for_loopback",)),
    26: Proof("Retry-After", ("test_dispatch.py::test_wait", "test_several.py::test_moves_on")),
    27: Proof(
        "Retry-After too long",
        ("test_dispatch.py::test_wait", "test_dispatch.py::test_long_retry_after_is_told"),
    ),
    28: Proof("Retry-After without sense", ("test_dispatch.py::test_wait",)),
    29: Proof("queue full", ("test_several.py::test_moves_on", "./dev proof failover")),
    30: Proof("storm of 503", ("simulation/", "test_several.py::test_budget")),
    31: Proof("engine dead", ("test_several.py::test_moves_on", "test_wire_faults.py::test_server")),
    32: Proof("gateway errors", ("test_several.py::test_stays", "test_dispatch.py::test_error_texts")),
    33: Proof("4xx", ("test_dispatch.py::test_not_tried_again", "test_several.py::test_stays")),
    34: Proof("401", ("test_dispatch.py::test_wrong_key",)),
    35: Proof(
        "404 for the model",
        ("test_lane.py::test_the_first_model_is_gone", "test_several.py::test_model_that_moved"),
    ),
    36: Proof(
        "408, 409, 413, 431", ("test_dispatch.py::test_tried_again", "test_dispatch.py::test_not_tried_again")
    ),
    37: Proof("HTML", ("test_wire_faults.py::test_fault", "test_completeness.py")),
    38: Proof("error in a 200", ("test_wire_faults.py::test_fault", "test_completeness.py")),
    39: Proof("no object", ("test_wire_faults.py::test_fault",)),
    40: Proof("NaN", ("test_wire_faults.py::test_fault",)),
    41: Proof("odd JSON", ("test_wire_faults.py::test_fault", "test_replies.py")),
    42: Proof("bad UTF-8", ("test_wire_faults.py::test_fault",)),
    43: Proof("choices", ("test_wire_faults.py::test_fault", "test_completeness.py")),
    44: Proof("finish reasons", ("test_completeness.py", "test_outcome.py")),
    45: Proof("usage", ("test_wire.py::test_accepted",)),
    46: Proof("content type", ("test_wire.py::test_accepted", "test_oddities.py::test_content_type")),
    47: Proof(
        "another model's name",
        ("test_wire.py::test_accepted", "test_oddities.py::test_another_model"),
        "accepted, with a warning; a run of many stops: not built yet",
    ),
    48: Proof("compression", ("test_wire_faults.py::test_fault", "test_wire_memory.py::test_faults")),
    49: Proof("error bodies", ("test_wire_faults.py::test_fault", "test_wire_memory.py::test_faults")),
    50: Proof("escapes", ("test_wire_faults.py::test_fault",)),
    51: Proof("no end mark", ("test_completeness.py",)),
    52: Proof("closed between events", ("test_completeness.py",)),
    53: Proof("closed in an event", ("test_completeness.py",)),
    54: Proof("cut", ("test_completeness.py",)),
    55: Proof("stall", ("test_wire_faults.py::test_fault", "test_pulse.py")),
    56: Proof("only comments", ("test_wire_faults.py::test_fault",)),
    57: Proof("error events", ("test_completeness.py",)),
    58: Proof("bad events", ("test_completeness.py",)),
    59: Proof("splits", ("test_events.py", "test_wire.py::test_accepted")),
    60: Proof("end mark", ("test_wire.py::test_accepted", "test_wire_faults.py::test_fault")),
    61: Proof(
        "duplicated chunks", (), "not told: vLLM does not number chunks, and a usage that differs is no proof"
    ),
    62: Proof("usage chunk", ("test_wire.py::test_accepted",)),
    63: Proof("one choice without end", ("test_completeness.py",)),
    64: Proof("no stream", ("test_completeness.py",)),
    65: Proof("too much", ("test_wire_faults.py::test_fault", "test_wire_memory.py::test_faults")),
    66: Proof("held open", ("test_wire_timers.py::test_timer",)),
    67: Proof("cut arguments", ("test_completeness.py",)),
    68: Proof("left streams", ("test_lane.py::test_leaving_a_stream_ends_the_work", "live/test_failover.py")),
    69: Proof("SIGTERM", ("live/test_failover.py", "./dev proof failover")),
    70: Proof("SIGTERM with drain", ("./dev proof failover",)),
    71: Proof("SIGKILL", ("live/test_failover.py", "./dev proof failover")),
    72: Proof("slow replica", ("simulation/", "test_replicas.py")),
    73: Proof(
        "replicas change",
        (
            "test_replicas.py",
            "test_several.py::test_replicas_change_while_running",
            "test_names.py::test_pods_come_and_go",
        ),
    ),
    74: Proof("another model or length", ("test_several.py::test_another_model",)),
    75: Proof("all down and back", ("simulation/",)),
    76: Proof("poison", ("test_several.py::test_poison",)),
    77: Proof("lists of models", ("test_clients.py",)),
    86: Proof("addresses", ("test_endpoint.py::test_refused",)),
    87: Proof("keys", ("test_key.py::test_rejected",)),
    88: Proof("fork", ("test_wire_connections.py::test_fork",)),
    89: Proof("loops", ("test_wire_connections.py::test_several_loops",)),
    90: Proof("threads", ("test_wire_connections.py::test_many_threads",), "not on a free-threaded build"),
    91: Proof("never closed", ("test_wire_connections.py::test_dropped_clients",)),
    92: Proof("descriptors", ("test_opening.py::test_no_free_descriptor",)),
    93: Proof("wall clock", ("test_dispatch.py::test_wait",), "nothing but a date in Retry-After reads it"),
    95: Proof("1e6 requests", ("./dev bench soak",), "1e5 of them"),
    96: Proof("pickles", ("test_dispatch.py::test_errors_pickle", "test_canary.py::test_errors_show_no_key")),
    97: Proof("odd locales", ("test_cli.py",)),
}
LATER = {*range(78, 86), 94, 98}


@pytest.mark.parametrize("row", range(1, LAST_ROW + 1))
def test_row(row: int) -> None:
    """Each row has a proof that exists, or a reason."""
    if row in LATER:
        assert row not in ROWS
        return
    proof = ROWS[row]
    assert proof.tests or proof.reason
    for name in proof.tests:
        if name.startswith("./dev "):
            folder = "proofs" if name.startswith("./dev proof") else "benchmarks"
            word = name.split()[-1]
            assert any(word in path.read_text() for path in (TESTS.parent / folder).glob("*.py"))
            continue
        file, _, function = name.partition("::")
        assert (TESTS / file).exists(), file
        if function:
            tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
            assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name
