"""A model of its own, with a text-embedding of 768."""


class Layer:
    hidden_dim = 1536

    def __init__(self, size=3072, width=1536):
        self.intermediate_size = 3072
