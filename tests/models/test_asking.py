"""Re-asking, on an engine that answers out of a script."""

from collections.abc import Iterable, Iterator

import pytest

from models.asking import Answer, ask
from models.engine import Completion, Message, Request, failure
from models.refusals import Refusal
from models.settings import Sampling


class Script:
    """An engine that gives each id the next of its lines; `!kind` is an engine's failure."""

    identity = "script@1"

    def __init__(self, lines: dict[str, list[str]]) -> None:
        self._lines = lines
        self.heard: list[Request] = []

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for request in requests:
            self.heard.append(request)
            line = self._lines[request.id].pop(0)
            if line.startswith("!"):
                yield failure(request, line[1:], "details")
            else:
                yield Completion(request.id, line, "stop", prompt_tokens=10, cached_tokens=4, output_tokens=len(line))

    def close(self) -> None:
        """Nothing to give back."""


def _requests(*ids: str, temperature: float = 0.0) -> list[Request]:
    return [Request(id, (Message("user", id),), Sampling(temperature=temperature, seed=5)) for id in ids]


def _read(completion: Completion) -> int | Refusal:
    if completion.text == "null":
        return Refusal("null")
    return (
        int(completion.text) if completion.text.isdigit() else Refusal("not_a_number", completion.text, malformed=True)
    )


def _ask(lines: dict[str, list[str]], re_asks: int) -> tuple[dict[str, Answer[int]], Script]:
    engine = Script(lines)
    answers = list(ask(engine, _requests(*lines), _read, re_asks))
    assert sorted(answer.id for answer in answers) == sorted(lines)
    return {answer.id: answer for answer in answers}, engine


def test_good_answers_come_as_they_finish_before_any_is_asked_again() -> None:
    engine = Script({"a": ["x", "1"], "b": ["2"]})
    answers = ask(engine, _requests("a", "b"), _read, 1)
    assert next(answers).id == "b"
    assert [request.id for request in engine.heard] == ["a", "b"]
    assert next(answers).value == 1


def test_malformed_is_asked_again_with_another_seed_and_a_temperature() -> None:
    answers, engine = _ask({"a": ["x", "y", "3"]}, re_asks=2)
    assert answers["a"].value == 3
    assert answers["a"].attempts == 3
    assert [request.sampling.seed for request in engine.heard] == [5, 6, 7]
    assert [request.sampling.temperature for request in engine.heard] == [0.0, 0.7, 0.7]


def test_higher_temperature_is_kept_when_asking_again() -> None:
    engine = Script({"a": ["x", "1"]})
    list(ask(engine, _requests("a", temperature=1.2), _read, 1))
    assert engine.heard[-1].sampling.temperature == 1.2


def test_tokens_of_all_attempts_are_summed() -> None:
    answers, _ = _ask({"a": ["xx", "123"], "b": ["1"]}, re_asks=1)
    answer = answers["a"]
    assert (answer.prompt_tokens, answer.cached_tokens, answer.output_tokens) == (20, 8, 5)
    assert answers["b"].output_tokens == 1


def test_last_malformed_answer_stands_when_the_attempts_are_spent() -> None:
    answers, _ = _ask({"a": ["x", "y"]}, re_asks=1)
    assert answers["a"].value == Refusal("not_a_number", "y", malformed=True)
    assert not answers["a"].failed


def test_sound_refusal_is_not_asked_again() -> None:
    answers, engine = _ask({"a": ["null"]}, re_asks=3)
    assert answers["a"].value == Refusal("null")
    assert len(engine.heard) == 1


@pytest.mark.parametrize("lines", [["!refused_400"], ["x", "!refused_400"]])
def test_failure_of_the_engine_is_final_and_no_rejection(lines: list[str]) -> None:
    answers, _ = _ask({"a": lines}, re_asks=3)
    assert answers["a"].failed
    assert answers["a"].value == Refusal("refused_400", "details")


def test_requests_are_pulled_lazily() -> None:
    pulled: list[str] = []

    def requests() -> Iterator[Request]:
        for request in _requests("a", "b"):
            pulled.append(request.id)
            yield request

    next(ask(Script({"a": ["1"], "b": ["2"]}), requests(), _read))
    assert pulled == ["a"]


def test_same_id_twice_in_flight_is_refused() -> None:
    class Patient(Script):
        def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
            return super().complete(list(requests))

    with pytest.raises(ValueError, match="'a' twice"):
        list(ask(Patient({"a": ["1", "2"]}), _requests("a", "a"), _read))
