"""Gaussian pooling: token embeddings to one global and K local embeddings of a text (paper 3.2, App. B).

The module has no parameters and is differentiable, so that training an embedder through it and embedding with it are
the same computation. Padding on either side changes nothing; a text without tokens gives zeros, never NaN.
Not covered: making the token embeddings, and normalising the result.
"""

import torch
from torch import Tensor


class GaussianPooling(torch.nn.Module):
    """K local embeddings, each a Gaussian-weighted mean around its place in the text, after the global mean.

    With token embeddings h_1 .. h_T, mask m_t in {0, 1} and effective length T = sum of m_t:

        global    h̄     = Σ_t m_t h_t / Σ_t m_t
        centres   c_k   = ρ_k · T,   ρ_k = k / (K + 1),   k = 1 .. K
        weights   w_k,t = m_t exp(-½ ((t - c_k) / (σ T))²) / Σ_t' m_t' exp(-½ ((t' - c_k) / (σ T))²)
        local     h̃_k   = Σ_t w_k,t h_t
        blend     h*_k  = (1 - α) h̄ + α h̃_k
        output    E     = [h̄, h*_1, .., h*_K]

    Positions count the unmasked tokens from t = 1 to T, as the paper writes H = [h_1 .. h_T].

    Args:
        chunks: K (paper: 5).
        sigma: σ, width of a chunk as a share of T (paper: 0.05).
        alpha: α, 1 = purely local (paper), 0 = K copies of the global embedding.
    """

    def __init__(self, chunks: int = 5, sigma: float = 0.05, alpha: float = 1.0) -> None:
        super().__init__()
        if chunks < 1 or sigma <= 0 or not 0 <= alpha <= 1:
            raise ValueError(f"expected chunks >= 1, sigma > 0, 0 <= alpha <= 1; found {chunks}, {sigma}, {alpha}")
        self.chunks = chunks
        self.sigma = sigma
        self.alpha = alpha

    def weights(self, mask: Tensor) -> Tensor:
        """Weights of every token in every embedding.

        Args:
            mask: `[B, T]`, 1 for tokens and 0 for padding.

        Returns:
            `[B, K+1, T]` float32; row 0 is the global mean, row k the blend of chunk k. Each row sums to 1 (to 0 for
            a text without tokens) and is 0 under the mask.
        """
        present = mask.to(torch.float32)
        length = present.sum(-1, keepdim=True).clamp(min=1)
        positions = present.cumsum(-1)
        ratios = torch.arange(1, self.chunks + 1, device=mask.device) / (self.chunks + 1)
        centres = ratios * length
        distances = (positions[:, None, :] - centres[:, :, None]) / (self.sigma * length[:, :, None])
        # Softmax, not a quotient: in a text of one or two tokens every exponential would underflow to 0.
        logits = (-0.5 * distances.square()).masked_fill(present[:, None, :] == 0, torch.finfo(torch.float32).min)
        local = logits.softmax(-1) * present[:, None, :]
        mean = (present / length)[:, None, :]
        return torch.cat([mean, (1 - self.alpha) * mean + self.alpha * local], dim=1)

    def forward(self, token_embeddings: Tensor, mask: Tensor, chunk: Tensor | None = None) -> Tensor:
        """Pool a batch, accumulating in float32.

        Args:
            token_embeddings: `[B, T, d]`, any floating dtype.
            mask: `[B, T]`, 1 for tokens and 0 for padding.
            chunk: `[B]` integers from 0 (global) to K: the one embedding wanted of each text, for training on
                labelled chunks (paper 3.2).

        Returns:
            `[B, K+1, d]` float32, or `[B, d]` when `chunk` is given.
        """
        weights = self.weights(mask)
        if chunk is None:
            return weights @ token_embeddings.float()
        chosen = weights[torch.arange(len(weights), device=weights.device), chunk]
        return (chosen[:, None, :] @ token_embeddings.float()).squeeze(1)

    def extra_repr(self) -> str:
        """What `repr` shows."""
        return f"chunks={self.chunks}, sigma={self.sigma}, alpha={self.alpha}"
