import openai
from openai import DefaultHttpxClient, OpenAI


def client(timeout: float = 20) -> OpenAI:
    return OpenAI(http_client=DefaultHttpxClient(timeout=timeout), organization="org-canary")


try:
    answer = client().completions.create(model="qwen", prompt="Once", max_tokens=2, best_of=1)
except openai.APIConnectionError as error:
    raise SystemExit(f"{error}")
print(answer.choices[0].text)
