import jinja2
import pytest

from models.digests import digest
from models.prompts import Prompt


def test_a_value_is_text_and_no_template():
    assert "{{ 7 * 7 }} & <b>" in Prompt("genericizer_user").render(query="{{ 7 * 7 }} & <b>")


def test_a_missing_value_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        Prompt("instantiator_user").render(document="text")


def test_the_identity_is_that_of_the_text():
    prompt = Prompt("judge_user")
    assert prompt.digest == digest(prompt.source)
    assert prompt.digest != Prompt("genericizer_user").digest
