"""What the model says to a chat request, markers and all."""

from random import Random

from vllm_connect.simulator.fields import Body
from vllm_connect.simulator.generation import spoken
from vllm_connect.simulator.message import thinks
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.tokens import THINK_END


def speech(body: Body, options: Options, random: Random) -> str:
    """All the model says if nothing cuts it off."""
    thought = spoken(random).lstrip() + THINK_END if thinks(body, options) else ""
    return thought + spoken(random).lstrip()


def check_tools(body: Body, options: Options) -> None:
    """Refuse tools that the server was not started for."""


def check_constraints(body: Body) -> None:
    """Refuse constraints no grammar can be made of."""
