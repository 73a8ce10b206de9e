"""What the terminal shows of a pair."""

from flows.display import marked

DOCUMENT = "".join(f"<{number:03d}>" for number in range(200))


def excerpt(start: int, end: int) -> dict[str, int]:
    """A span of the document."""
    return {"document_start": start, "document_end": end}


def test_excerpts_are_highlighted_and_long_stretches_left_out() -> None:
    """Between far excerpts, inside a long one, and at both ends."""
    shown = marked(DOCUMENT, [excerpt(50, 60), excerpt(65, 70), excerpt(300, 700)], margin=10, longest=100)
    highlighted = [shown.plain[span.start : span.end] for span in shown.spans]
    assert highlighted == [DOCUMENT[50:60], DOCUMENT[65:70], f"{DOCUMENT[300:350]} ... {DOCUMENT[650:700]}"]
    assert shown.plain.startswith(f" ... {DOCUMENT[40:80]} ... {DOCUMENT[290:350]}")
    assert shown.plain.endswith(f"{DOCUMENT[650:710]} ...")


def test_a_short_document_is_shown_whole_and_no_excerpt_shows_nothing() -> None:
    """Nothing is left out where there is nothing to leave out."""
    assert marked(DOCUMENT[:50], [excerpt(10, 20)]).plain == DOCUMENT[:50]
    assert marked(DOCUMENT, []).plain == ""
