"""What the instantiate stage costs over bare vLLM.

The stage is measured from matches to checked pairs: windows, grammars, prompts, decoding, reading, gates. `vllm.LLM`
gets the identical requests ready made, prompts in tokens and grammars in text, and only its `generate` is timed.
Re-asks are off, for bare vLLM has none.
Not covered: Prefect and storage, see `storage`.
"""

import time
from typing import Any

from models.instantiator import Instantiator
from models.settings import VLLMSettings
from models.vllm_engine import VLLMEngine
from tasks.instantiate import instantiate_rows
from tasks.records import Tokens
from tasks.settings import load_profile
from tests.benchmarks.bare import Generated, constrained, engine_and_bare, generate, in_turn, prompts
from tests.benchmarks.figures import Figure, Sizes, Target
from tests.benchmarks.questions import Questions


def measure(sizes: Sizes) -> list[Figure]:
    """Requests a second of the stage over those of bare vLLM.

    Raises:
        UsageError: vLLM or the tiny model is not there.
    """
    profile = load_profile("tiny", ("instantiator.re_asks=0",))
    questions = Questions.of(profile, sizes.documents, sizes.templates)
    settings = profile.engines[questions.settings.engine]
    assert isinstance(settings, VLLMSettings)
    with engine_and_bare(settings) as (engine, bare):
        return [_compare(questions, engine, bare, sizes.rounds)]


def _compare(questions: Questions, engine: VLLMEngine, bare: Any, rounds: int) -> Figure:
    requests = questions.requests()
    asked, sampling = prompts(bare, requests), [constrained(bare, request) for request in requests]
    spent: list[Tokens] = []
    generated: list[Generated] = []

    def stage() -> float:
        bare.reset_prefix_cache()
        started = time.perf_counter()
        spent.append(_instantiate(questions, engine))
        return time.perf_counter() - started

    def alone() -> float:
        generated.append(generate(bare, asked, sampling))
        return generated[-1].seconds

    generate(bare, asked[:1], sampling[:1])
    ours, theirs = in_turn(rounds, stage, alone)
    if spent[0].prompt != generated[0].prompt_tokens:
        raise ValueError(f"expected identical prompts, found {spent[0].prompt} and {generated[0].prompt_tokens} tokens")
    number = len(requests)
    return Figure(
        "instantiate stage over bare vLLM",
        theirs / ours,
        "of its requests/s",
        Target("at least", 0.90),
        f"{number} requests, {number / ours:.2f}/s against {number / theirs:.2f}/s; "
        f"output tokens {spent[0].output} and {sum(generated[0].output_tokens)}",
    )


def _instantiate(questions: Questions, engine: VLLMEngine) -> Tokens:
    settings = questions.settings
    return instantiate_rows(questions.matches, questions.windows(), Instantiator(settings), engine, settings).tokens
