import tiktoken
from openai import OpenAI

client = OpenAI()


def count(text, model="gpt-4o"):
    encoding = tiktoken.encoding_for_model(model)
    return len(encoding.encode(text))


def cut(text, limit):
    encoding = tiktoken.get_encoding("cl100k_base")
    return encoding.decode(encoding.encode(text)[:limit])


prompt = cut("one two three four five six", 3)
print(count(prompt, "gpt-4o-mini"))
client.completions.create(model="gpt-4o", prompt=prompt, max_tokens=4)
