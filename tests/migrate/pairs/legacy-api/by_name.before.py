from openai import ChatCompletion, Model

client = None


def create(**kwargs):
    return ChatCompletion.create(**kwargs)


def first():
    return Model.retrieve(id="gpt-4").id
