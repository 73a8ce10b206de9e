"""vLLM as one uses it without this project, on the very engine that this project's class drives.

One engine for both, so that they share weights, settings, cache and process and can be run in turn.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from models.checkpoints import resolve
from models.engine import Request
from models.settings import VLLMSettings
from models.vllm_engine import VLLMEngine


@contextmanager
def engine_and_bare(settings: VLLMSettings) -> Iterator[tuple[VLLMEngine, Any]]:
    """This project's engine, and a `vllm.LLM` around the same `LLMEngine`; both are closed at the end."""
    engine = VLLMEngine(settings)
    from vllm import LLM
    from vllm.v1.engine.llm_engine import LLMEngine

    with patch.object(LLMEngine, "from_engine_args", return_value=engine._llm):
        bare = LLM(str(resolve(settings.model, settings.revision, settings.adapter)))
    try:
        yield engine, bare
    finally:
        del bare
        engine.close()


def prompts(bare: Any, requests: Sequence[Request]) -> list[dict[str, list[int]]]:
    """The requests' messages in the chat template, as tokens."""
    tokenizer = bare.get_tokenizer()
    conversations = [
        [{"role": message.role, "content": message.content} for message in request.messages] for request in requests
    ]
    return [
        {"prompt_token_ids": tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)}
        for turns in conversations
    ]


def constrained(bare: Any, request: Request) -> Any:
    """Sampling parameters of a request, its grammar and its bias among them."""
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    tokens = bare.get_tokenizer()
    bias = {tokens.encode(text, add_special_tokens=False)[0]: value for text, value in request.bias}
    return SamplingParams(
        temperature=request.sampling.temperature,
        top_p=request.sampling.top_p,
        max_tokens=request.sampling.max_tokens,
        logit_bias=bias or None,
        structured_outputs=StructuredOutputsParams(grammar=request.grammar),
    )


def exactly(tokens: int) -> Any:
    """Greedy sampling parameters that give this many tokens, whatever they are."""
    from vllm import SamplingParams

    return SamplingParams(temperature=0, max_tokens=tokens, ignore_eos=True)


@dataclass(frozen=True)
class Generated:
    """One call of `generate`: seconds, and tokens; those of the output per request, in the order of the requests."""

    seconds: float
    prompt_tokens: int
    cached_tokens: int
    output_tokens: tuple[int, ...]


def generate(bare: Any, asked: Sequence[dict[str, list[int]]], sampling: Sequence[Any]) -> Generated:
    """Answer all prompts at once, with an empty prefix cache."""
    bare.reset_prefix_cache()
    started = time.perf_counter()
    outputs = bare.generate(asked, list(sampling), use_tqdm=False)
    seconds = time.perf_counter() - started
    return Generated(
        seconds,
        sum(len(output.prompt_token_ids) for output in outputs),
        sum(output.num_cached_tokens or 0 for output in outputs),
        tuple(len(output.outputs[0].token_ids) for output in outputs),
    )


def in_turn(rounds: int, *sides: Callable[[], float]) -> list[float]:
    """Median seconds of each side, the sides run one after the other in every round, every other round backwards."""
    seconds: list[list[float]] = [[] for _ in sides]
    for number in range(rounds):
        for place in range(len(sides))[:: -1 if number % 2 else 1]:
            seconds[place].append(sides[place]())
    return [statistics.median(times) for times in seconds]
