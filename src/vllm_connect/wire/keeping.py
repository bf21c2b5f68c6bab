"""How long connections are kept, the same for both shells."""

from __future__ import annotations

from typing import Final

__all__ = ["KEEP_ALIVE", "LONG_ENOUGH_TO_DIE", "RACE", "TAIL"]

# vLLM closes an idle connection after 5.0 s (uvicorn): at 0.7 of that ours is gone before the two can race.
KEEP_ALIVE: Final = 3.5
# A connection that lay idle for longer is looked at before it is used: it may have ended meanwhile.
LONG_ENOUGH_TO_DIE: Final = 0.1
# One that its server had closed says so within a round trip; what is lost later, the server had seen.
RACE: Final = 1.0
# After the end mark of a stream, the end of the answer is this near, or the connection is not kept.
TAIL: Final = 0.1
