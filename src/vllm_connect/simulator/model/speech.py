"""What the model says to a request, markers and all."""

import json
from collections.abc import Mapping
from random import Random
from typing import Any

from vllm_connect.simulator.model import constraints, schema
from vllm_connect.simulator.model.generation import spoken
from vllm_connect.simulator.model.message import may_call, thinks
from vllm_connect.simulator.model.tokens import THINK_END, TOOL_BEGIN, TOOL_END
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.requests.fields import Body
from vllm_connect.simulator.requests.refusals import Refusal, refuse

Tool = Mapping[str, Any]

_AUTO_IS_OFF = Refusal(
    '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
)
_FORCED_IS_OFF = Refusal("tool_choice={choice} requires --tool-call-parser to be set")


def speech(body: Body, options: Options, random: Random) -> str:
    """All the model says to a chat request if nothing cuts it off."""
    thought = spoken(random).lstrip() + THINK_END if thinks(body, options) else ""
    tool = _tool_to_call(body, options, random)
    return thought + (_call(tool, random) if tool else constrained(body, random) or spoken(random).lstrip())


def constrained(body: Body, random: Random) -> str | None:
    """A text within the request's constraint, if it has one."""
    asked = constraints.wanted(body)
    return constraints.text(*asked, random) if asked else None


def check_tools(body: Body, options: Options) -> None:
    """Refuse a choice of tools that the server was not started for."""
    choice = body["tool_choice"]
    if options.tool_call_parser or choice in (None, "none"):
        return
    if choice == "auto":
        raise refuse(_AUTO_IS_OFF)
    shown = f'function "{choice["function"]["name"]}"' if isinstance(choice, dict) else f'"{choice}"'
    raise refuse(_FORCED_IS_OFF, choice=shown)


def _tool_to_call(body: Body, options: Options, random: Random) -> Tool | None:
    """The tool named, else one that the last message speaks of, else any; none once a result has come."""
    if not may_call(body, options):
        return None
    functions: list[Tool] = [tool["function"] for tool in body["tools"]]
    choice = body["tool_choice"]
    if isinstance(choice, dict):
        return next(function for function in functions if function["name"] == choice["function"]["name"])
    last = body["messages"][-1]
    if choice == "auto" and last["role"] == "tool":
        return None
    said = str(last.get("content")).lower()
    spoken_of = [tool for tool in functions if any(word in said for word in tool["name"].lower().split("_"))]
    return spoken_of[0] if spoken_of else random.choice(functions)


def _call(function: Tool, random: Random) -> str:
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    call = {"name": function["name"], "arguments": schema.instance(parameters, random)}
    return TOOL_BEGIN + json.dumps(call) + TOOL_END
