from functools import partial

from openai import ChatCompletion

WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {"place": {"type": "string"}}}}

create = partial(ChatCompletion.create, max_tokens=8)
result = create(model="qwen", messages=[{"role": "user", "content": "Weather?"}])
assert result.choices[0].message.content
defaults = {"engine": "qwen", "request_timeout": 30, "temperature": 0}
print(ChatCompletion.create(messages=[{"role": "user", "content": "Say hello."}], **defaults)["model"])
