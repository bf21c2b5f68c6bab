"""`python -m vllm_connect`: the same as the command `vllm-connect`."""

from vllm_connect.cli import main

main()
