"""How sure a causal model is of `null`: log-odds of the two first tokens an instantiator's reply can have.

A forward pass on the prompts says it for every margin at once, where decoding would have to be repeated per margin.
Prompts that begin alike share their computation (`models.training.prefix_tree`).
"""

from collections.abc import Iterable, Iterator
from typing import Any

from models.engine import Request
from models.errors import UsageError
from models.instantiator import NULL
from models.training.packing import MULTIPLE, prompt_tokens
from models.training.prefix_tree import PrefixTree

PAIR_OPENING = '{"'


def null_log_odds(requests: Iterable[Request], tokenizer: Any, model: Any, most_tokens: int = 1024) -> list[float]:
    """Log-odds of `null` against a pair, per request; positive where the model gives the document up.

    Args:
        requests: An instantiator's, those of a document one after the other.
        tokenizer: The model's.
        model: A causal model of transformers.
        most_tokens: Different tokens of a forward pass; a longer prompt is passed alone.

    Raises:
        UsageError: `null` or the opening of a pair is not one token of the model.
    """
    import torch

    choice = [_token(NULL, tokenizer), _token(PAIR_OPENING, tokenizer)]
    odds: list[float] = []
    for tree, ends in _trees((prompt_tokens(request.messages, tokenizer) for request in requests), most_tokens):
        with torch.inference_mode():
            logits = model(**tree.inputs(MULTIPLE), logits_to_keep=torch.tensor(ends), use_cache=False).logits[0]
        null, pair = logits[:, choice].T
        odds += (null - pair).tolist()
    return odds


def _token(text: str, tokenizer: Any) -> int:
    tokens: list[int] = tokenizer.encode(text, add_special_tokens=False)
    if len(tokens) != 1:
        raise UsageError(f"expected {text!r} to be one token, found {len(tokens)}; this measure needs another model")
    return tokens[0]


def _trees(prompts: Iterable[list[int]], most_tokens: int) -> Iterator[tuple[PrefixTree, list[int]]]:
    """Trees of consecutive prompts, and the node at which each of them ends."""
    tree, ends = PrefixTree(), list[int]()
    for prompt in prompts:
        grown = tree.with_added([prompt])
        if ends and len(grown) > most_tokens:
            yield tree, ends
            grown, ends = PrefixTree().with_added([prompt]), []
        tree = grown
        ends.append(tree.add(prompt)[-1])
    if ends:
        yield tree, ends
