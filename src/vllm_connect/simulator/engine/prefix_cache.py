"""The prefix cache: which beginnings of prompts have been read before, block by block."""

from collections import OrderedDict
from collections.abc import Sequence

_MOST_BLOCKS = 4096


class PrefixCache:
    """Full blocks of tokens, each known by all that stands before it; the ones not used for longest fall out."""

    def __init__(self, block_size: int) -> None:
        self._block_size = block_size
        self._blocks: OrderedDict[int, None] = OrderedDict()

    def read(self, prompt: Sequence[int], salt: str | None = None) -> int:
        """How many of a prompt's first tokens were known; from now on its full blocks are.

        The last token is always read anew, as the model goes on from it.
        """
        known, unbroken, key = 0, True, hash(salt)
        for start in range(0, len(prompt) - 1, self._block_size):
            end = start + self._block_size
            if end > len(prompt):
                break
            key = hash((key, *prompt[start:end]))
            unbroken = unbroken and key in self._blocks and end < len(prompt)
            known = end if unbroken else known
            self._blocks[key] = None
            self._blocks.move_to_end(key)
        while len(self._blocks) > _MOST_BLOCKS:
            self._blocks.popitem(last=False)
        return known

    def clear(self) -> None:
        """Forget everything."""
        self._blocks.clear()
