"""Many token sequences in one: what they have in common at their beginning is computed once.

The requests of one document share its text, those of one model their system prompt. Their sequences are laid into a
tree whose every node is one token, and the tree is run through the model as a single sequence: a node sees its
ancestors and itself, and its position is its depth. So each sequence has exactly the logits that it would have alone,
for a fraction of the tokens.

Not covered: models whose attention takes no mask of its own (`[1, 1, N, N]`).
"""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass
class PrefixTree:
    """The tree; nodes in the order in which they were added, so that a parent comes before its children.

    `tokens`, `parents` (-1 for a first token) and `depths` have one entry per node.
    """

    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    _children: dict[tuple[int, int], int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.tokens)

    def add(self, sequence: Sequence[int]) -> list[int]:
        """The nodes of the sequence's tokens; those that other sequences begin with too are shared."""
        node = -1
        path = []
        for depth, token in enumerate(sequence):
            child = self._children.setdefault((node, token), len(self))
            if child == len(self):
                self.tokens.append(token)
                self.parents.append(node)
                self.depths.append(depth)
            node = child
            path.append(node)
        return path

    def with_added(self, sequences: Iterable[Sequence[int]]) -> "PrefixTree":
        """A tree of these sequences as well; this one stays as it is."""
        grown = PrefixTree(self.tokens.copy(), self.parents.copy(), self.depths.copy(), copy.copy(self._children))
        for sequence in sequences:
            grown.add(sequence)
        return grown

    def inputs(self, multiple: int = 1) -> "dict[str, torch.Tensor]":
        """What a causal model takes, filled up to a multiple of so many nodes, so that there are few shapes.

        `input_ids` and `position_ids` are `[1, N]`; `attention_mask` is `[1, 1, N, N]`, true where row sees column.
        """
        import numpy as np
        import torch

        size = -(-len(self) // multiple) * multiple
        sees = np.eye(size, dtype=np.bool_)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                sees[node, : parent + 1] = sees[parent, : parent + 1]
        filling = [0] * (size - len(self))
        return {
            "input_ids": torch.tensor([[*self.tokens, *filling]]),
            "position_ids": torch.tensor([[*self.depths, *filling]]),
            "attention_mask": torch.from_numpy(sees)[None, None],
        }
