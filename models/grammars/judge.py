"""The judge's grammar: feedback, then a score from 1 to 5 (paper 1.7), or the score first.

    <feedback>1 to N characters</feedback>
    <score>3</score>

A line break inside the tags is allowed, since the released judge writes one.
"""

from models.grammars.notation import grammar, rule


def judge_grammar(max_feedback_characters: int, score_first: bool = False) -> str:
    """The grammar of a judgement with at most so many characters of feedback, which hold no angle bracket."""
    visible = r"[^\s<>\x00-\x1f\x7f]"
    between = r"[^<>\x00-\x1f\x7f]"
    parts = ['"<feedback>" NL? FEEDBACK NL? "</feedback>"', '"<score>" NL? SCORE NL? "</score>"']
    return grammar(
        rule("start", [' "\\n" '.join(reversed(parts) if score_first else parts)]),
        rule("NL", [r'"\n"']),
        rule("SCORE", ["/[1-5]/"]),
        rule("FEEDBACK", [f"/{visible}|{visible}{between}{{0,{max_feedback_characters - 2}}}{visible}/"]),
    )
