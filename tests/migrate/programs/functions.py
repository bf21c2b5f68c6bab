import openai as oai

WEATHER = {
    "name": "weather",
    "description": "The weather of a place.",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
}

with oai.OpenAI() as client:
    client.chat.completions.create(
        model="qwen",
        messages=[{"role": "user", "content": "How is the weather?"}],
        functions=[WEATHER],
        function_call="auto",
    )
