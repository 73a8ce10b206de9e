"""Log-odds of null, read off a small model of random weights."""

from pathlib import Path

import pytest
import torch

from models.engine import Message, Request
from models.errors import UsageError
from models.settings import Sampling
from models.training.log_odds import null_log_odds
from models.training.lora import Base, load
from models.training.packing import prompt_tokens
from tests.models.training.small_model import small_model


def requests(count: int) -> list[Request]:
    """They share their first words."""
    return [
        Request(
            str(number), (Message("user", f"The same document for all. Template {number}"),), Sampling(max_tokens=4)
        )
        for number in range(count)
    ]


def test_prompts_together_have_the_odds_of_each_alone(tmp_path: Path) -> None:
    """However few tokens go into a pass."""
    tokenizer, model = load(Base(small_model(tmp_path)))
    null, pair = (tokenizer.encode(text)[0] for text in ("null", '{"'))
    alone = []
    for request in requests(5):
        with torch.inference_mode():
            logits = model(torch.tensor([prompt_tokens(request.messages, tokenizer)])).logits[0, -1]
        alone.append(float(logits[null] - logits[pair]))
    assert null_log_odds(requests(5), tokenizer, model) == pytest.approx(alone, abs=1e-4)
    assert null_log_odds(requests(5), tokenizer, model, most_tokens=8) == pytest.approx(alone, abs=1e-4)


def test_a_model_whose_null_is_several_tokens_cannot_be_measured() -> None:
    """Its first token would say less than is asked."""

    class Letters:
        def encode(self, text: str, add_special_tokens: bool) -> list[int]:
            return list(text.encode())

    with pytest.raises(UsageError, match="expected 'null' to be one token, found 4"):
        null_log_odds(requests(1), Letters(), None)
