import openai

client = openai.Client()
response = client.responses.create(
    model="qwen",
    input="Say hello.",
    store=False,
    prompt_cache_key="greetings",
    extra_body={"max_completion_tokens": 16},
)
print(response.output_text)
