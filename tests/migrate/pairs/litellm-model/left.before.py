import litellm
from litellm import completion

MODEL = "openai/gpt-4o"
PRICES = {MODEL: 2.5}


def ask(model, messages, **options):
    completion(model=model, messages=messages)
    completion(model=MODEL, messages=messages)
    completion(model="gpt-4o", messages=messages, **options)
    litellm.responses(model="gpt-4o", input="Hello")
