"""Grammars that keep a model's output readable while it is being written (design.md section 4).

Each builder returns a grammar in llguidance's Lark dialect; `models.grammar_check` validates it before it is submitted.
What a grammar accepts, the reader of the same name (`models.genericizer`, `models.instantiator`, `models.judge`) reads:
the tests draw random sentences from the grammars and read them. Text that comes from outside enters as string literals
only, never as a regular expression.
"""

from models.grammars.genericizer import genericizer_grammar
from models.grammars.instantiator import instantiator_grammar
from models.grammars.judge import judge_grammar

__all__ = ["genericizer_grammar", "instantiator_grammar", "judge_grammar"]
