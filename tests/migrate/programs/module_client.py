import openai

print(openai.base_url)


def ask(question):
    try:
        return openai.chat.completions.create(model="qwen", messages=[{"role": "user", "content": question}])
    except openai.OpenAIError as error:
        raise SystemExit(str(error))


print(ask("Say hello.").choices[0].message.content)
