import os
from os import getenv

os.environ["OPENAI_BASE_URL"] = "https://api.openai.com/v1"
BASE = getenv("OPENAI_BASE_URL", "https://api.openai.com/v1")
os.environ.setdefault("OPENAI_API_BASE", "https://api.openai.com/v1")
OWN = getenv("OPENAI_BASE_URL", "http://localhost:8000/v1")
