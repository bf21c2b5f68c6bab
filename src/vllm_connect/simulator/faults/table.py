"""Every fault by its name."""

from collections.abc import Mapping
from typing import Final

from vllm_connect.simulator.faults import contents, encodings, framing, reaching, silence, statuses, streams
from vllm_connect.simulator.faults.fault import Fault

FAULTS: Final[Mapping[str, Fault]] = {
    fault.name: fault
    for module in (reaching, silence, framing, statuses, contents, encodings, streams)
    for fault in module.ROWS
}
