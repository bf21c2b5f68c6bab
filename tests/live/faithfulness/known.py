"""Where the stand-in is known to answer otherwise than the real server: the request, and the reason."""

from typing import Final

REGEX = "the words about a wrong regular expression are those of a Rust library"
TEMPLATE = "the real embedding model has no chat template; the simulated one has, as most do"

DIFFERENCES: Final = {
    "plain: chat, bad regex": REGEX,
    "plain: chat, bad regex, streamed": REGEX,
    "embedding: embedding of a conversation": TEMPLATE,
}

# Routes of development mode that change the weights of the model, of which there are none.
UNSERVED: Final = {
    ("post", "/finish_weight_update"),
    ("post", "/init_weight_transfer_engine"),
    ("post", "/shutdown_weight_transfer_engine"),
    ("post", "/start_draft_weight_update"),
    ("post", "/start_weight_update"),
    ("post", "/update_weight_version"),
    ("post", "/update_weights"),
    ("post", "/weight_checker"),
}
