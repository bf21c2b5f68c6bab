import os
import subprocess

os.environ.setdefault("OPENAI_API_BASE", "http://localhost:8000/v1")
os.environ.update({"OPENAI_API_BASE": "http://localhost:8000/v1", "LOG": "debug"})
os.environ.update(OPENAI_API_BASE="http://localhost:8000/v1")
