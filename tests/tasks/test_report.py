"""The report: complete in itself, everything escaped, excerpts marked where they are."""

import re
import uuid
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from tasks.figures import Figures
from tasks.release import publish
from tasks.report import Segment, mark, mark_in_context, mark_slots, render_report, short, slot_spans
from tests.tasks.small_store import Written, found
from tests.tasks.test_card import made

HOSTILE = "<script>alert('x')</script> & \"quoted\" <img src=x onerror=alert(1)> </div></html>"


class Page(HTMLParser):
    """Tags, attributes and marked texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.marked: list[str] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append(tag)
        self.attributes += attrs
        self._inside = tag == "mark"

    def handle_endtag(self, tag: str) -> None:
        """Leave a mark."""
        self._inside = self._inside and tag != "mark"

    def handle_data(self, data: str) -> None:
        """Note marked text."""
        if self._inside:
            self.marked.append(data)


def hostile_page() -> str:
    text = f"Before it. {HOSTILE} After it, cats sleep. " + "Filler that is long enough to pay for the pair. " * 20
    pair = Written("d", f"What about {HOSTILE}?", (HOSTILE, "cats sleep."), feedback=HOSTILE)
    workspace, shards = found(f"memory://{uuid.uuid4().hex}", [{"d": text}], [pair])
    release = publish(workspace, shards)
    assert release.rows == 1
    return workspace.store.read(f"{release.folder}/report.html").decode()


def test_text_of_documents_instructions_and_feedback_stays_text() -> None:
    page = Page(hostile_page())
    assert not {"script", "img", "iframe", "link", "object"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.tags.count("html") == 1
    assert page.marked.count(HOSTILE) == 3


def test_the_page_needs_nothing_from_outside() -> None:
    text = hostile_page()
    page = Page(text)
    assert not [value for name, value in page.attributes if name in ("src", "href", "action", "srcset")]
    assert not re.search(r"url\(|@import", text)
    assert "default-src 'none'" in text


def test_an_empty_release_has_a_page() -> None:
    page = render_report(made(rows=0, tokens=0, documents=0, document_tokens=0, funnel=(), sources=()), Figures(), [])
    assert "This release is empty" in page
    assert "There are no pairs to show" in page


def spans_in(text: str) -> st.SearchStrategy[list[tuple[int, int]]]:
    place = st.integers(0, len(text) - 1)
    return st.lists(st.tuples(place, place).map(lambda ends: (min(ends), max(ends) + 1)), max_size=4)


spans_of_text = st.text(min_size=1, max_size=200).flatmap(lambda text: st.tuples(st.just(text), spans_in(text)))


@given(spans_of_text)
def test_marking_changes_no_text(case: tuple[str, list[tuple[int, int]]]) -> None:
    text, spans = case
    segments = mark(text, spans)
    assert "".join(segment.text for segment in segments) == text
    covered = {place for start, end in spans for place in range(start, end)}
    assert sum(len(segment.text) for segment in segments if segment.kind == "mark") == len(covered)


@given(spans_of_text, st.integers(0, 50))
def test_what_context_leaves_out_is_counted(case: tuple[str, list[tuple[int, int]]], around: int) -> None:
    text, spans = case
    segments = mark_in_context(text, spans, around)
    shown = sum(len(segment.text) for segment in segments if segment.kind != "gap")
    left_out = sum(int(segment.text.split()[0].replace(",", "")) for segment in segments if segment.kind == "gap")
    assert shown + left_out == len(text)
    marked = [segment for segment in segments if segment.kind == "mark"]
    assert marked == [segment for segment in mark(text, spans) if segment.kind == "mark"]


def test_slots_are_marked_where_they_stand_and_not_where_their_words_recur() -> None:
    template = "is a <fi>animal</fi> a pet or a <fi>role</fi>"
    instruction = "is a cat a pet or a pet"
    spans = slot_spans(template, instruction, ["cat", "pet"])
    assert [instruction[:start] for start, _ in spans] == ["is a ", "is a cat a pet or a "]


def test_a_template_shows_its_slots_without_tags() -> None:
    assert mark_slots("how to <fi>action</fi>?") == [
        Segment("how to "),
        Segment("action", "mark"),
        Segment("?"),
    ]


def test_counts_fit_above_a_narrow_bar() -> None:
    assert [short(count) for count in (0, 999, 1000, 12_345, 9_990_000, 10**9)] == [
        "0",
        "999",
        "1.0k",
        "12k",
        "10.0M",
        "1.0G",
    ]
