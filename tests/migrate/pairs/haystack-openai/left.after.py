from haystack.components.generators.chat import AzureOpenAIChatGenerator, OpenAIChatGenerator


def make(secret, **options):
    return OpenAIChatGenerator(secret, "qwen"), AzureOpenAIChatGenerator(**options)
