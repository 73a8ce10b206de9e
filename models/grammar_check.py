"""Whether a grammar can be decoded with, found out before it is sent anywhere, and whether it allows a given text.

Takes a millisecond or two for the grammars of this project. Not covered: a grammar that is valid and yet leaves none of
a model's tokens allowed; such a request fails while decoding, and alone.
"""

from functools import cache
from typing import Any


def check_grammar(grammar: str) -> str | None:
    """What is wrong with a Lark grammar in llguidance's dialect, or None if it is valid."""
    from llguidance import LLMatcher, grammar_from

    try:
        # "grammar" is what vLLM takes it as: Lark when it has a `start:`, otherwise the notation of llama.cpp.
        return str(LLMatcher.validate_grammar(grammar_from("grammar", grammar))) or None
    except ValueError as error:
        return str(error)


def allows(grammar: str, text: str) -> bool:
    """Whether a model that decodes with the valid `grammar` can write exactly `text`."""
    from llguidance import LLMatcher, grammar_from

    matcher = LLMatcher(_bytes(), grammar_from("grammar", grammar), log_level=0)
    data = list(text.encode())
    return bool(matcher.try_consume_tokens(data) == len(data) and matcher.is_accepting())


@cache
def _bytes() -> Any:
    """A tokenizer whose tokens are bytes: what it can write, any tokenizer can."""
    from llguidance import LLTokenizer

    return LLTokenizer("byte")
