"""The same questions for every engine: bundled documents, and templates that mostly fit any document."""

from dataclasses import dataclass

import polars as pl

from models.digests import digest
from models.engine import Request
from models.instantiator import Instantiator
from models.refusals import Refusal
from models.settings import InstantiatorSettings
from models.tokens import Tokenizer
from tasks.instantiate import choose_windows
from tasks.settings import Profile
from tests.benchmarks.samples import sample_texts

TEMPLATES = (
    "how do i <fi>do something</fi>",
    "what is the purpose of <fi>a thing or custom</fi>?",
    "what should I know about <fi>a subject</fi> before I <fi>plan of the asker</fi>?",
    "why does <fi>someone or something</fi> <fi>behave in some way</fi>",
    "List the main points on <fi>a subject</fi> and say in a sentence what each of them means.",
    "what happens if <fi>an event</fi>",
    "explain <fi>a concept</fi> to a beginner",
    "is it worth <fi>doing something</fi> for <fi>kind of person</fi>?",
    "what are the advantages and disadvantages of <fi>a choice</fi>?",
    "Give me advice on <fi>a problem</fi>. I have already tried <fi>a remedy</fi> and it did not help.",
    "when was <fi>an event or object</fi> and who took part in it",
    "how long does <fi>a process</fi> take",
)


def matches(documents: int, templates: int, tokenizer: Tokenizer) -> pl.DataFrame:
    """The first bundled documents, each matched to some of `TEMPLATES`: `MATCHES` with `text` and `token_count`."""
    texts = sample_texts()[:documents]
    counts = tokenizer.count(texts)
    rows = [
        {
            "pair_id": digest(row, template),
            "document_id": f"document-{row}",
            "document_source": "sample",
            "document_url": "documents.jsonl",
            "document_row": row,
            "template_id": digest(template),
            "template": template,
            "template_source": "sample",
            "chunk": 0,
            "similarity": 1.0,
            "text": text,
            "token_count": count,
        }
        for row, (text, count) in enumerate(zip(texts, counts, strict=True))
        for template in (TEMPLATES[(row + place) % len(TEMPLATES)] for place in range(templates))
    ]
    return pl.DataFrame(rows)


@dataclass(frozen=True)
class Questions:
    """Matches and how they are asked about, by the settings of a profile."""

    matches: pl.DataFrame
    tokenizer: Tokenizer
    settings: InstantiatorSettings
    chunks: int

    @classmethod
    def of(cls, profile: Profile, documents: int, templates: int) -> "Questions":
        """Questions about the first documents of the sample; the model writes the answers, as in most profiles."""
        tokenizer = Tokenizer(profile.tokenizer)
        rows = matches(documents, templates, tokenizer)
        settings = profile.instantiator.model_copy(update={"answers": "written"})
        return cls(rows, tokenizer, settings, profile.embedder.chunks)

    def windows(self) -> list[tuple[int, int]]:
        """What each match is shown of its document, in characters."""
        return choose_windows(self.matches, self.tokenizer, self.settings.document_tokens, self.chunks)

    def requests(self) -> list[Request]:
        """The requests of the stage, in its order.

        Raises:
            ValueError: when one of them cannot be made.
        """
        instantiator = Instantiator(self.settings)
        columns = (self.matches[name] for name in ("pair_id", "template", "text"))
        made = [instantiator.request(*asked) for asked in zip(*columns, self.windows(), strict=True)]
        if refused := [request for request in made if isinstance(request, Refusal)]:
            raise ValueError(f"expected a request for every match, found {refused[0]}; change the templates")
        return [request for request in made if isinstance(request, Request)]
