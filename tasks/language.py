"""The language of queries, by lingua: a query stays when it may well be in one of the allowed languages.

Queries are short and full of names, so the question is not which language is likeliest but whether an allowed one is
plausible. On 33,000 real English queries a least confidence of 0.1 loses 0.2 %; of 28 queries in 12 other languages one
reaches it ("beste restaurants in berlin"). Lingua's small models answer most queries; what they doubt goes to its large
ones, in a quarter of the time for the same result.
Not covered: a least confidence that suits every language (0.1 is for English; others need more), queries in several
languages at once, languages that are neither allowed nor in `COMMON` (taken for the nearest).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from models.errors import UsageError
from models.refusals import Refusal

if TYPE_CHECKING:
    from lingua import LanguageDetector

COMMON = ("en", "de", "fr", "es", "pt", "it", "nl", "pl", "sv", "tr", "ru", "ar", "zh", "ja", "ko", "hi", "id", "vi")
"""Languages told apart; each costs about 20 MB."""

CERTAIN = 0.5
"""Confidence of the small models that needs no second look."""

_CHARACTERS = 400


class LanguageFilter:
    """Tells queries in allowed languages from others.

    Args:
        languages: ISO 639-1 codes.
        least: Least confidence, from 0 to 1, that a query is in one of them.

    Raises:
        UsageError: when a code is unknown.
    """

    def __init__(self, languages: Sequence[str], least: float) -> None:
        from lingua import IsoCode639_1, LanguageDetectorBuilder

        try:
            codes = {code: IsoCode639_1.from_str(code.upper()) for code in dict.fromkeys((*languages, *COMMON))}
        except ValueError as error:
            raise UsageError(
                f"queries.languages {list(languages)}: {error}; expected codes such as 'en', 'de'"
            ) from error
        self._languages = ", ".join(languages)
        self._allowed = {codes[code] for code in languages}
        self._least = least
        builder = LanguageDetectorBuilder.from_iso_codes_639_1(*codes.values())
        self._large = builder.build()
        self._small = LanguageDetectorBuilder.from_iso_codes_639_1(*codes.values()).with_low_accuracy_mode().build()

    def __call__(self, texts: Sequence[str]) -> list[Refusal | None]:
        """A refusal with reason `language`, or None, per text."""
        starts = [text[:_CHARACTERS] for text in texts]
        small = self._confidences(self._small, starts)
        doubted = [index for index, (confidence, _) in enumerate(small) if confidence < CERTAIN]
        large = self._confidences(self._large, [starts[index] for index in doubted])
        result: list[Refusal | None] = [None] * len(texts)
        for index, (confidence, likeliest) in zip(doubted, large, strict=True):
            if confidence < self._least:
                detail = f"{self._languages} with confidence {confidence:.2f}, likeliest is {likeliest}"
                result[index] = Refusal("language", detail)
        return result

    def close(self) -> None:
        """Give back the models' memory, some 400 MB."""
        for detector in (self._small, self._large):
            unload: Callable[[], None] = detector.unload_language_models
            unload()

    def _confidences(self, detector: "LanguageDetector", texts: list[str]) -> list[tuple[float, str]]:
        """Per text: confidence that it is in an allowed language, and the likeliest language."""
        found = detector.compute_language_confidence_values_in_parallel(texts)
        return [
            (
                sum(value.value for value in values if value.language.iso_code_639_1 in self._allowed),
                f"{values[0].language.name.lower()} ({values[0].value:.2f})",
            )
            for values in found
        ]
