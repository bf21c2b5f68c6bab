"""The command `vllm-connect`: one file per command; each parses, calls, renders, and sets the exit code.

Only this package prints. Nothing here imports the SDK before a command runs: `--help` answers at once.
"""

from vllm_connect.cli.app import main

__all__ = ["main"]
