"""Examples as token sequences, and sequences in packs of a bounded size, one pack per forward pass.

Examples of one group go into the same pack where it holds them, and share what their prompts have in common
(`models.training.prefix_tree`). The loss is on completions only, whose tokens weigh what their example says. An example
longer than a pack is left out and named, never cut.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.engine import Message
from models.tokens import encodable
from models.training.examples import Example
from models.training.prefix_tree import PrefixTree
from models.training.settings import TrainSettings

if TYPE_CHECKING:
    import torch

MULTIPLE = 64
"""Packs are filled up to a multiple of so many tokens: a CPU's memory grows with the number of different shapes."""

IGNORED = -100
"""The target that counts for nothing."""


@dataclass(frozen=True)
class Encoded:
    """Tokens of prompt and completion, and one weight per token of the completion."""

    id: str
    group: str
    tokens: tuple[int, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True)
class Packs:
    """What is trained on, and the ids of the examples that no pack holds. `scale` makes a pack weigh 1 on average."""

    packs: tuple[tuple[Encoded, ...], ...]
    left_out: tuple[str, ...]
    scale: float


def prompt_tokens(messages: Iterable[Message], tokenizer: Any) -> list[int]:
    """The tokens of a request's messages, as the engines write them: with the chat template, up to the reply."""
    conversation = [{"role": message.role, "content": encodable(message.content)} for message in messages]
    tokens: list[int] = tokenizer.apply_chat_template(
        conversation, add_generation_prompt=True, tokenize=True, return_dict=False
    )
    return tokens


def encode(example: Example, tokenizer: Any) -> Encoded:
    """The example's tokens with the one that ends a reply, and what each of the completion's weighs."""
    prompt = prompt_tokens(example.messages, tokenizer)
    completion = tokenizer(encodable(example.completion), add_special_tokens=False, return_offsets_mapping=True)
    first, last = example.decisive
    outside, inside = example.weights
    weights = [inside if start < last and first < end else outside for start, end in completion["offset_mapping"]]
    tokens = (*prompt, *completion["input_ids"], tokenizer.eos_token_id)
    return Encoded(example.id, example.group, tokens, (*weights, outside))


def pack(sequences: Sequence[Encoded], settings: TrainSettings) -> Packs:
    """Fill packs of at most `pack_tokens` different tokens, group by group in a seeded order.

    A pack that holds `full_tokens` begins no further group: attention grows with the square of a pack.
    """
    groups: dict[str, list[Encoded]] = defaultdict(list)
    for sequence in sequences:
        groups[sequence.group].append(sequence)
    order = sorted(groups)
    random.Random(settings.seed).shuffle(order)
    packs: list[tuple[Encoded, ...]] = []
    left_out: list[str] = []
    tree, held = PrefixTree(), list[Encoded]()
    for sequence in (sequence for name in order for sequence in groups[name]):
        grown = tree.with_added([sequence.tokens])
        full = len(tree) >= settings.full_tokens and sequence.group != held[-1].group
        if full or len(grown) > settings.pack_tokens:
            packs += [tuple(held)] if held else []
            grown, held = PrefixTree().with_added([sequence.tokens]), []
        if len(grown) > settings.pack_tokens:
            left_out.append(sequence.id)
            tree = PrefixTree()
            continue
        tree = grown
        held.append(sequence)
    packs += [tuple(held)] if held else []
    weight = sum(sum(sequence.weights) for sequence in sequences if sequence.id not in set(left_out))
    return Packs(tuple(packs), tuple(left_out), len(packs) / weight if packs else 1.0)


def collate(pack: Iterable[Encoded], scale: float) -> "dict[str, torch.Tensor]":
    """One pack as a model and the loss take it.

    Beside the inputs of `PrefixTree.inputs`, of S targets: `sources` `[S]`, the nodes whose logits are wanted;
    `targets` `[S]`, the tokens that should follow; `weights` `[S]`, 0 where there is no target.
    """
    import torch

    tree = PrefixTree()
    wanted: list[tuple[int, int, float]] = []
    for sequence in pack:
        path = tree.add(sequence.tokens)
        begin = len(path) - len(sequence.weights)
        wanted += zip(path[begin - 1 : -1], sequence.tokens[begin:], sequence.weights, strict=True)
    wanted += [(0, IGNORED, 0.0)] * (-len(wanted) % MULTIPLE)
    sources, targets, weights = zip(*wanted, strict=True)
    return {
        **tree.inputs(MULTIPLE),
        "sources": torch.tensor(sources),
        "targets": torch.tensor(targets),
        "weights": torch.tensor(weights) * scale,
    }
