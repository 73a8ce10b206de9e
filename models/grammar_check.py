"""Whether a grammar can be decoded with, found out before it is sent anywhere.

Takes a millisecond or two for the grammars of this project. Not covered: a grammar that is valid and yet leaves none of
a model's tokens allowed; such a request fails while decoding, and alone.
"""


def check_grammar(grammar: str) -> str | None:
    """What is wrong with a Lark grammar in llguidance's dialect, or None if it is valid."""
    from llguidance import LLMatcher, grammar_from

    try:
        # "grammar" is what vLLM takes it as: Lark when it has a `start:`, otherwise the notation of llama.cpp.
        return str(LLMatcher.validate_grammar(grammar_from("grammar", grammar))) or None
    except ValueError as error:
        return str(error)
