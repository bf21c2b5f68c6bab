"""Moves a code base from OpenAI to vLLM: text to text, nothing is asked of any server.

Needs LibCST (`pip install 'vllm-connect[migrate]'`); importing the package itself does not.
"""
