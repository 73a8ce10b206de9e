"""Gaussian pooling as paper App. B defines it."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.pooling import GaussianPooling

lengths = st.integers(1, 400)
chunk_counts = st.integers(1, 8)


def texts(*tokens: int, width: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded random token embeddings and their mask."""
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(len(tokens), max(tokens), width, generator=generator)
    mask = torch.arange(max(tokens)) < torch.tensor(tokens)[:, None]
    return states, mask.long()


@given(st.lists(lengths, min_size=1, max_size=4), chunk_counts, st.floats(0.001, 1), st.floats(0, 1))
@settings(deadline=None, max_examples=60)
def test_weights_sum_to_one_and_are_zero_under_the_mask(
    tokens: list[int], chunks: int, sigma: float, alpha: float
) -> None:
    """Also for one token and very narrow chunks, where the exponentials alone would underflow."""
    _, mask = texts(*tokens)
    weights = GaussianPooling(chunks, sigma, alpha).weights(mask)
    assert weights.shape == (len(tokens), chunks + 1, max(tokens))
    torch.testing.assert_close(weights.sum(-1), torch.ones(len(tokens), chunks + 1), atol=1e-4, rtol=0)
    assert not weights.masked_select(mask[:, None, :].expand_as(weights) == 0).any()


@given(lengths, chunk_counts)
@settings(deadline=None, max_examples=40)
def test_centres_are_at_k_over_k_plus_one(tokens: int, chunks: int) -> None:
    """The heaviest token of chunk k is one next to c_k = k T / (K + 1), positions counted from 1."""
    weights = GaussianPooling(chunks).weights(torch.ones(1, tokens))[0, 1:]
    for k, position in enumerate((weights.argmax(-1) + 1).tolist(), start=1):
        assert abs(position - max(k * tokens / (chunks + 1), 1)) <= 0.5 + 1e-4


def test_weights_are_those_of_the_formula() -> None:
    """Computed by hand for T = 6, K = 2, sigma = 0.2, alpha = 0.25."""
    weights = GaussianPooling(2, sigma=0.2, alpha=0.25).weights(torch.ones(1, 6))[0]
    for k in (1, 2):
        bells = [math.exp(-0.5 * ((t - 6 * k / 3) / (0.2 * 6)) ** 2) for t in range(1, 7)]
        expected = torch.tensor([0.75 / 6 + 0.25 * bell / sum(bells) for bell in bells])
        torch.testing.assert_close(weights[k], expected)
    torch.testing.assert_close(weights[0], torch.full((6,), 1 / 6))


def test_alpha_zero_is_global_and_alpha_one_is_local() -> None:
    """The two ends of the blend, and its linearity between them."""
    states, mask = texts(50, 31)
    mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    flat = GaussianPooling(5, alpha=0.0)(states, mask)
    torch.testing.assert_close(flat, mean[:, None].expand_as(flat))
    local, half = (GaussianPooling(5, alpha=alpha)(states, mask) for alpha in (1.0, 0.5))
    torch.testing.assert_close(local[:, 0], mean)
    torch.testing.assert_close(half[:, 1:], (local[:, 1:] + mean[:, None]) / 2)
    assert not torch.allclose(local[:, 1], local[:, 5], atol=0.1)


@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_changes_nothing(side: str) -> None:
    """On either side, whatever lies under the mask."""
    states, mask = texts(40)
    pooling = GaussianPooling()
    pad = (0, 0, 0, 24) if side == "right" else (0, 0, 24, 0)
    padded = torch.nn.functional.pad(states, pad, value=99.0)
    padded_mask = torch.nn.functional.pad(mask, pad[2:])
    torch.testing.assert_close(pooling(padded, padded_mask), pooling(states, mask))


def test_chosen_chunks_are_those_of_the_whole_output() -> None:
    """Training asks for one embedding per text."""
    states, mask = texts(20, 33, 7)
    chunk = torch.tensor([0, 3, 5])
    whole = GaussianPooling()(states, mask)
    torch.testing.assert_close(GaussianPooling()(states, mask, chunk), whole[torch.arange(3), chunk])


def test_gradient_flows_to_the_tokens_of_the_chosen_chunk() -> None:
    """The next tokens to the centre get the most of it, masked tokens none."""
    states, mask = texts(60, 30)
    states.requires_grad_()
    GaussianPooling()(states, mask, torch.tensor([3, 3])).sum().backward()
    assert states.grad is not None
    sizes = states.grad.abs().sum(-1)
    assert sizes.argmax(-1).tolist() == [29, 14]
    assert not sizes[1, 30:].any()


def test_half_precision_is_accumulated_in_float32() -> None:
    """A mean over many tokens keeps its value."""
    states = torch.full((1, 5000, 2), 0.1, dtype=torch.bfloat16)
    pooled = GaussianPooling()(states, torch.ones(1, 5000))
    assert pooled.dtype == torch.float32
    torch.testing.assert_close(pooled, states[:, :1].float().expand(1, 6, 2))


def test_text_without_tokens_gives_zeros() -> None:
    """Never NaN."""
    assert not GaussianPooling()(torch.randn(1, 3, 2), torch.zeros(1, 3)).any()


@pytest.mark.parametrize(("chunks", "sigma", "alpha"), [(0, 0.05, 1.0), (5, 0.0, 1.0), (5, 0.05, 1.5)])
def test_senseless_parameters_are_refused(chunks: int, sigma: float, alpha: float) -> None:
    """Before anything is computed."""
    with pytest.raises(ValueError, match="expected chunks"):
        GaussianPooling(chunks, sigma, alpha)
