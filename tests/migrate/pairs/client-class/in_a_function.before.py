def client():
    import os, openai

    return openai.OpenAI(max_retries=int(os.environ["RETRIES"]))
