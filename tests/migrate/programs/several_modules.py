from shared_llm import get_client


def extract(text):
    answer = get_client().chat.completions.create(
        model="qwen",
        messages=[{"role": "user", "content": text}],
        extra_body={"guided_json": {"type": "object", "properties": {"name": {"type": "string"}}}},
    )
    return answer.choices[0].message.content


if __name__ == "__main__":
    print(extract("My name is Ada."))
