def read(message, answer):
    print(message.reasoning_content, answer["choices"][0]["message"]["reasoning_content"])
    return getattr(message, "reasoning", None) or getattr(message, "reasoning_content", None)
