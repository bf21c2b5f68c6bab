from openai import OpenAI


def make():
    return OpenAI(base_url="https://api.openai.com/v1", organization="org-canary")


def main():
    extra = {"guided_choice": ["yes", "no"], "guided_decoding_backend": "outlines", "top_k": 5}
    client = make()
    answer = client.chat.completions.create(
        model="qwen",
        messages=[{"role": "user", "content": "Yes or no?"}],
        metadata={"run": "1"},
        extra_body=extra,
    )
    print(answer.choices[0].message.content)


if __name__ == "__main__":
    main()
