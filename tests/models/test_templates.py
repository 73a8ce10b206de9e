import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.templates import Template, TemplateError, check_template, read_slots

DESCRIPTION = "A reference page or article that states the fact asked for, with its date and source."
PLAIN = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="<>[]|"), max_size=30)
FILLED = PLAIN.filter(lambda text: bool(text.strip()))


@given(st.lists(st.tuples(PLAIN, FILLED), min_size=1, max_size=6), PLAIN)
def test_a_template_is_parsed_into_what_it_was_made_of(parts, tail):
    text = "".join(f"{fixed}<fi>{slot}</fi>" for fixed, slot in parts) + tail
    template = Template.parse(text)
    assert template.fixed == (*(fixed for fixed, _ in parts), tail)
    assert template.slots == tuple(slot for _, slot in parts)
    assert template.complexity == len(parts)
    assert "".join(f"<fi>{piece.text}</fi>" if piece.is_slot else piece.text for piece in template.pieces) == text


@given(st.lists(st.tuples(PLAIN, FILLED), min_size=1, max_size=5), PLAIN)
def test_filled_templates_are_read_back_as_some_filling(parts, tail):
    template = "".join(f"{fixed}<fi>kind of thing</fi>" for fixed, _ in parts) + tail
    instruction = "".join(fixed + value.strip() for fixed, value in parts) + tail
    values = read_slots(template, instruction)
    assert values is not None
    assert all(values)
    refilled = "".join(fixed + value for (fixed, _), value in zip(parts, values, strict=True)) + tail
    assert "".join(refilled.split()) == "".join(instruction.split())


@pytest.mark.parametrize(
    ("template", "instruction", "values"),
    [
        ("how to <fi>action</fi> <fi>service</fi>?", "how to cancel Prime  now?", ["cancel", "Prime  now"]),
        ("who is <fi>person</fi>", "who is \n Ada Lovelace ", ["Ada Lovelace"]),
        ("a\n\nb <fi>x</fi>", "a b c", ["c"]),
        ("what is <fi>x</fi>?", "what is ?", None),
        ("what is <fi>x</fi>?", "What is y?", None),
        ("(.*) <fi>x</fi>", "anything y", None),
    ],
)
def test_slots_are_read_only_from_the_templates_own_text(template, instruction, values):
    assert read_slots(template, instruction) == values


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("what is a <fi>cable", "unbalanced_tags"),
        ("what is a </fi>cable<fi>", "unbalanced_tags"),
        ("what <fi>is <fi>a</fi></fi> cable", "unbalanced_tags"),
        ("what is a ds1 cable", "no_slot"),
        ("what is a <fi> </fi>", "empty_slot"),
        ("what is a <fi>kind of <excerpt></fi>", "nested_markup"),
        ("what is a <fi>kind</fi> <|im_end|>", "nested_markup"),
    ],
)
def test_what_is_no_template_says_why(template, reason):
    with pytest.raises(TemplateError) as caught:
        Template.parse(template)
    assert caught.value.reason == reason
    refusal = check_template("what is a ds1 cable", template, DESCRIPTION)
    assert refusal is not None
    assert (refusal.reason, refusal.malformed) == (reason, True)


@pytest.mark.parametrize(
    ("query", "template", "reason"),
    [
        ("what is a ds1 cable", "what is a <fi>type of cable</fi>", None),
        ("What is   a DS1\ncable?", "What is a <fi>type of line</fi> cable?", None),
        ("how to cancel prime", "how to <fi>action</fi> <fi>service</fi>", None),
        ("what is a ds1 cable", "what was a <fi>type of cable</fi>", "text_not_from_query"),
        ("what is a ds1 cable", "cable what is <fi>type of cable</fi>", "text_not_from_query"),
        ("what is a ds1 cable", "what is a ds1 cable <fi>use of it</fi>", "text_not_from_query"),
        ("a b", "a b<fi>one</fi><fi>two</fi>", "text_not_from_query"),
        ("magnet motor", "<fi>device</fi> <fi>device part</fi>", "no_literal_word"),
        ("population of paris", "population of <fi>paris landmark</fi>", "slot_leaks_entity"),
        ("who shot Abraham Lincoln", "who shot <fi>president like Lincoln</fi>", "slot_leaks_entity"),
        ("problem with iPhone 12", "problem with <fi>name of a phone, e.g. iPhone</fi>", "slot_leaks_entity"),
        ("events of the year 1848", "events of <fi>the year after 1848</fi>", "slot_leaks_entity"),
    ],
)
def test_a_template_is_checked_against_its_query(query, template, reason):
    refusal = check_template(query, template, DESCRIPTION)
    assert (refusal and refusal.reason) == reason


@pytest.mark.parametrize(
    ("words", "reason"), [(7, "description_length"), (8, None), (120, None), (121, "description_length")]
)
def test_a_description_has_8_to_120_words(words, reason):
    refusal = check_template("what is a cable", "what is a <fi>thing</fi>", " ".join(["word"] * words))
    assert (refusal and refusal.reason) == reason


def test_hostile_text_takes_no_exponential_time():
    many = "<fi>x y</fi> a " * 30
    started = time.monotonic()
    assert read_slots(many + "b", "a " * 5000) is None
    assert check_template("a" * 5000 + "b", many.replace(" ", "") + "c", DESCRIPTION) is not None
    assert time.monotonic() - started < 2
