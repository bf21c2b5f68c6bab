"""An interactive chat: what was said, the commands, the prompt, and the session that joins them."""

from vllm_connect.cli.conversation.conversation import Conversation
from vllm_connect.cli.conversation.session import Session

__all__ = ["Conversation", "Session"]
