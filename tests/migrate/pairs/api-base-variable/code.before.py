import os
from os import environ as env

os.environ["OPENAI_API_BASE"] = "http://localhost:8000/v1"


def set_up(address):
    env['OPENAI_API_BASE'] = address  # of the server
    os.environ["OPENAI_API_KEY"] = "EMPTY"
    return env["OPENAI_API_BASE"]


class Own:
    def __init__(self, environ):
        environ["OPENAI_API_BASE"] = "not the process's"
