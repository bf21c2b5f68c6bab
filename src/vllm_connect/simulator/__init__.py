"""A stand-in vLLM server for tests: real sockets, no GPU, no model, the same answers every time."""

from vllm_connect.simulator.exchange import Cut, Drop, RecordedRequest, Reply
from vllm_connect.simulator.faults.fault import FaultError
from vllm_connect.simulator.faults.switchboard import Meeting, Rule
from vllm_connect.simulator.hosts import SimulatorDied
from vllm_connect.simulator.server import Faults, Simulator, UnmetFault

__all__ = [
    "Cut",
    "Drop",
    "FaultError",
    "Faults",
    "Meeting",
    "RecordedRequest",
    "Reply",
    "Rule",
    "Simulator",
    "SimulatorDied",
    "UnmetFault",
]
