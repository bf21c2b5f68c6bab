"""Where the stand-in is known to answer otherwise than the real server: the request, and the reason."""

from typing import Final

REGEX = "the words about a wrong regular expression are those of a Rust library"
TEMPLATE = "the real embedding model has no chat template; the simulated one has, as most do"

DIFFERENCES: Final = {
    "plain: chat, bad regex": REGEX,
    "plain: chat, bad regex, streamed": REGEX,
    "embedding: embedding of a conversation": TEMPLATE,
}
