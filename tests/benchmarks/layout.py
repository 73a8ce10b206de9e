"""What the document-first layout gains and what constrained decoding costs.

Both by bare vLLM on ready-made requests, and at the same number of output tokens for each request: as many as
constrained decoding of the document-first prompts gives, which free decoding is made to give too. So requests/s
compare what is asked, not how much the model happens to say. The prefix cache is empty at the start of each side.
"""

from dataclasses import replace
from typing import Any

from models.settings import VLLMSettings
from tasks.settings import load_profile
from tests.benchmarks.bare import constrained, engine_and_bare, exactly, generate, in_turn, prompts
from tests.benchmarks.figures import Figure, Sizes, Target
from tests.benchmarks.questions import Questions


def measure(sizes: Sizes) -> list[Figure]:
    """Requests a second of layouts and of constrained decoding, at the same output tokens.

    Raises:
        UsageError: vLLM or the tiny model is not there.
    """
    profile = load_profile("tiny")
    questions = Questions.of(profile, sizes.documents, sizes.templates)
    settings = profile.engines[questions.settings.engine]
    assert isinstance(settings, VLLMSettings)
    with engine_and_bare(settings) as (_, bare):
        return _compare(questions, bare, sizes)


def _compare(questions: Questions, bare: Any, sizes: Sizes) -> list[Figure]:
    document_first = questions.requests()
    template_first = replace(questions, settings=questions.settings.model_copy(update={"layout": "paper"})).requests()
    ours, papers = prompts(bare, document_first), prompts(bare, template_first)
    grammars = [constrained(bare, request) for request in document_first]
    found = generate(bare, ours, grammars)
    free = [exactly(tokens) for tokens in found.output_tokens]
    computed: dict[str, int] = {}

    def freely(layout: str, asked: list[dict[str, list[int]]]) -> float:
        answered = generate(bare, asked, free)
        computed[layout] = answered.prompt_tokens - answered.cached_tokens
        return answered.seconds

    obedient, document, template = in_turn(
        sizes.rounds,
        lambda: generate(bare, ours, grammars).seconds,
        lambda: freely("document-first", ours),
        lambda: freely("template-first", papers),
    )
    number = len(document_first)
    spent = f"{number} requests, {sum(found.output_tokens)} output tokens"
    return [
        Figure(
            "document-first over template-first",
            template / document,
            "x its requests/s",
            Target("at least", 2.0),
            f"{sizes.documents} documents x {sizes.templates} templates: {spent} decoded freely; "
            f"{number / document:.2f}/s against {number / template:.2f}/s; prompt tokens not from the cache "
            f"{computed['document-first']} and {computed['template-first']}",
        ),
        Figure(
            "constrained over free decoding",
            document / obedient,
            "of its requests/s",
            Target("at least", 0.85),
            f"document-first, {spent}; {number / obedient:.2f}/s against {number / document:.2f}/s",
        ),
    ]
