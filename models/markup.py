"""The markup that means something to a model, and how text from outside loses it.

Three kinds: the tags of this project's own formats (paper 1.2, 1.6, 1.7), the special tokens of chat models, and the
sections of the judge's prompt. Ordinary HTML, generics such as `List<int>` and comparisons such as `a < b` are none
of them and stay as they are.

Not covered: special tokens that a future tokenizer may spell in a way not listed here.
"""

import re

SLOT_TAGS = re.compile(r"</?fi>")
EXCERPT_TAGS = re.compile(r"</?excerpt>|<\.\.\.>")

_CHAT_TOKENS = (
    r"<[|｜][^<>\s]{1,64}[|｜]>",
    r"</?(?:s|bos|eos|pad|unk|mask|think|tool_call|tool_response|(?:start|end)_of_(?:turn|image))>",
    r"<(?:unused|extra_id_|0x)[0-9A-Fa-f]{1,4}>",
    r"<</?SYS>>",
    r"\[/?(?:INST|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT|CLS|SEP|MASK|PAD|UNK)\]",
)
_OWN_TAGS = r"</?(?:fi|excerpt|feedback|score)>|<\.\.\.>"
_JUDGE_SECTIONS = r"</?(?:inputs|query|output|response|evaluation_criteria|scoring_rubric)>"

MARKUP = re.compile("|".join((_OWN_TAGS, *_CHAT_TOKENS)))
"""Chat tokens and own tags: what no released instruction or answer may contain."""

_NEUTRALISED = re.compile("|".join((_JUDGE_SECTIONS, MARKUP.pattern)))
_LOOK_ALIKES = str.maketrans({"<": "‹", "[": "［"})


def find_markup(text: str) -> str | None:
    """The first chat token or own tag in `text`, or None."""
    found = MARKUP.search(text)
    return found.group() if found else None


def neutralise(text: str) -> str:
    """`text` as a model may see it: opening brackets of markup become look-alikes, one code point for one.

    The length never changes, so that spans found in the result are spans of `text`.
    """
    return _NEUTRALISED.sub(lambda found: found.group().translate(_LOOK_ALIKES), text)
