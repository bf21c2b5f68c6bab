import dspy


def make(name, **options):
    return dspy.LM("openai/gpt-4o", **options), dspy.OpenAI(model="gpt-3.5-turbo")
