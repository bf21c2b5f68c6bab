"""What the client costs, beside plain openai in the same run: `./dev bench`. Ratios count; times are this machine's."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import openai

import vllm_connect

ROUNDS = 9
CALLS = 200
MESSAGES = [{"role": "user", "content": "Say something."}]
IMPORT_ALLOWANCE = 0.050
# As installed: bytecode is kept, which a developer's variable may forbid.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
IMPORTS = {
    "nothing": "pass",
    "openai": "import openai; openai.OpenAI",
    "vllm_connect": "import vllm_connect",
    "ours": "from vllm_connect import OpenAI",
    "client, openai": "import openai; openai.OpenAI(api_key='x', base_url='http://127.0.0.1:9/v1').chat.completions",
    "client, ours": "from vllm_connect import OpenAI; OpenAI(base_url='http://127.0.0.1:9/v1').chat.completions",
}


def cpu_of_process(code: str) -> float:
    """Return the CPU seconds of a fresh interpreter that runs this code."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, env=ENVIRONMENT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def imports() -> bool:
    """Measure imports turn by turn, print them, and say whether ours keeps its promise."""
    times: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for code in IMPORTS.values():
        cpu_of_process(code)
    for _ in range(ROUNDS):
        for name, code in IMPORTS.items():
            times[name].append(cpu_of_process(code))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, seconds in medians.items():
        print(f"import {name:16} {seconds * 1000:7.0f} ms CPU")
    extra = medians["ours"] - medians["openai"]
    verdict = "kept" if extra <= IMPORT_ALLOWANCE else "BROKEN"
    print(
        f"`from vllm_connect import OpenAI` costs `import openai` {extra * 1000:+.0f} ms; at most +50: {verdict}"
    )
    return extra <= IMPORT_ALLOWANCE


@contextmanager
def simulator() -> Iterator[str]:
    """A stand-in server in a process of its own, so that its CPU does not count."""
    command = [sys.executable, "-m", "vllm_connect", "simulator", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[0]
        process.terminate()


def cpu_per_call(client: openai.OpenAI) -> tuple[float, str]:
    """Return the CPU seconds of this process per small chat call, and what was answered."""
    text = ""
    before = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(CALLS):
        answer = client.chat.completions.create(model="sim-model", messages=MESSAGES, seed=1)  # type: ignore[arg-type]  # a list of plain dicts
        text = answer.choices[0].message.content or ""
    after = resource.getrusage(resource.RUSAGE_SELF)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / CALLS, text


def calls() -> None:
    """Measure small calls, turn by turn, and print the ratio."""
    with simulator() as url:
        plain = openai.OpenAI(base_url=url, api_key="EMPTY")
        ours = vllm_connect.OpenAI(base_url=url, api_key="EMPTY")
        with plain, ours:
            rounds = [(cpu_per_call(plain), cpu_per_call(ours)) for _ in range(ROUNDS)]
    assert len({text for pair in rounds for _, text in pair}) == 1, "the answers differ"
    one = statistics.median(cpu for (cpu, _), _ in rounds)
    other = statistics.median(cpu for _, (cpu, _) in rounds)
    print(
        f"small chat call    openai {one * 1e6:5.0f} us CPU, ours {other * 1e6:5.0f}: ratio {other / one:.2f}"
    )


if __name__ == "__main__":
    kept = imports()
    calls()
    raise SystemExit(not kept)
