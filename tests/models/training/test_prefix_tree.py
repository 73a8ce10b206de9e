"""Sequences laid into one tree have the logits that each would have alone, with fewer tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.training.lora import Base, load
from models.training.prefix_tree import PrefixTree
from tests.models.training.small_model import small_model

SEQUENCES = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), min_size=1, max_size=8)


@given(SEQUENCES)
def test_a_path_spells_its_sequence_and_prefixes_are_shared(sequences: list[list[int]]) -> None:
    """As many nodes as there are different beginnings."""
    tree = PrefixTree()
    paths = [tree.add(sequence) for sequence in sequences]
    assert [[tree.tokens[node] for node in path] for path in paths] == sequences
    assert all([tree.depths[node] for node in path] == list(range(len(path))) for path in paths)
    assert len(tree) == len({tuple(sequence[: end + 1]) for sequence in sequences for end in range(len(sequence))})


@given(SEQUENCES)
def test_a_node_sees_its_ancestors_and_itself(sequences: list[list[int]]) -> None:
    """Filling up to a multiple changes nothing."""
    tree = PrefixTree()
    paths = [tree.add(sequence) for sequence in sequences]
    sees = tree.inputs(multiple=16)["attention_mask"][0, 0]
    assert sees.shape[0] % 16 == 0
    for path in paths:
        for place, node in enumerate(path):
            assert sees[node].nonzero().flatten().tolist() == sorted(path[: place + 1])


def test_each_sequence_has_the_logits_it_has_alone(tmp_path_factory: pytest.TempPathFactory) -> None:
    """So that training on the tree is training on the sequences."""
    import torch

    _, model = load(Base(small_model(tmp_path_factory.mktemp("model"))))
    generator = torch.Generator().manual_seed(1)
    document = torch.randint(0, 49000, (40,), generator=generator).tolist()
    sequences = [
        document[:shared] + torch.randint(0, 49000, (length,), generator=generator).tolist()
        for shared, length in ((40, 9), (40, 30), (40, 1), (11, 20), (0, 5))
    ]
    tree = PrefixTree()
    paths = [tree.add(sequence) for sequence in sequences]
    assert len(tree) == 40 + 9 + 30 + 1 + 20 + 5
    with torch.inference_mode():
        together = model(**tree.inputs(64)).logits[0]
        for sequence, path in zip(sequences, paths, strict=True):
            alone = model(torch.tensor([sequence])).logits[0]
            torch.testing.assert_close(together[path], alone, atol=1e-4, rtol=0)
