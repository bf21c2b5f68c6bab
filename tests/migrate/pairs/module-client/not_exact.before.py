import openai


def set_up(key, in_production):
    openai.api_key = key
    if in_production:
        openai.base_url = "https://llm.example.com/v1/"


def ask(question):
    return openai.chat.completions.create(messages=[{"role": "user", "content": question}])
