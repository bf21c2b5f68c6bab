import os

import openai

openai.api_key = os.environ.get("OPENAI_API_KEY")
if not openai.api_key:
    raise SystemExit("no key")

print(openai.Completion.create(engine="davinci", prompt="Once", max_tokens=5).choices[0].text)
