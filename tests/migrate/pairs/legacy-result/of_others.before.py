def main(client, messages):
    from vllm_connect import OpenAI

    client = OpenAI()
    answer = client.chat.completions.create(model="m", messages=messages)
    messages.append(answer.choices[0].message)
    if hasattr(answer, "usage"):
        print(answer.usage)
    found = {"choices": [{"text": "a"}]}
    return found["choices"][0]["text"]
