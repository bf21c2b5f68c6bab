from haystack.components.generators.chat import AzureOpenAIChatGenerator, OpenAIChatGenerator


def make(secret, **options):
    return OpenAIChatGenerator(secret, "gpt-4o"), AzureOpenAIChatGenerator(**options)
