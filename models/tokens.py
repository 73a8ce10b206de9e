"""Counting tokens, and where in a text they lie, with a checkpoint's own tokenizer and without the model.

Texts are taken whole: truncation and padding that a checkpoint's `tokenizer.json` asks for are switched off, and no
special tokens are added. Lone surrogates, which no tokenizer takes, count as one replacement character each, so that
offsets stay those of the text as given.
"""

from collections.abc import Iterable, Sequence

from models.checkpoints import identify, tokenizer_file
from models.errors import UsageError


def encodable(text: str) -> str:
    """The text with every lone surrogate replaced by `?`: as many code points, and UTF-8 can express it."""
    return text.encode("utf-8", "replace").decode("utf-8")


class Tokenizer:
    """The tokenizer of a checkpoint, named as in `models.checkpoints`.

    Raises:
        UsageError: the checkpoint cannot be had, or its tokenizer cannot be read.
    """

    def __init__(self, model: str, revision: str = "") -> None:
        from tokenizers import Tokenizer as FastTokenizer

        self._name = (model, revision)
        file = tokenizer_file(model, revision)
        try:
            self._tokenizer = FastTokenizer.from_file(str(file))
        except Exception as error:  # tokenizers raises this class itself
            raise UsageError(f"cannot read the tokenizer {file}: {error}; restore the file") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    @property
    def identity(self) -> str:
        """`name@revision` of the checkpoint."""
        return identify(*self._name)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text; the batch is spread over the processor's cores."""
        encodings = self._tokenizer.encode_batch_fast([encodable(text) for text in texts], add_special_tokens=False)
        return [len(encoding) for encoding in encodings]

    def biases(self, bias: Iterable[tuple[str, float]]) -> dict[int, float]:
        """Token to bias, of texts that are one token each.

        Raises:
            UsageError: a text is not one token.
        """
        encoded = {text: (self._tokenizer.encode(text, add_special_tokens=False).ids, value) for text, value in bias}
        for text, (ids, _) in encoded.items():
            if len(ids) != 1:
                raise UsageError(
                    f"expected {text!r} to be one token of {self._name[0]}, found {len(ids)}; "
                    "set the bias on it (`null_bias`) to 0 for this model"
                )
        return {ids[0]: value for ids, value in encoded.values()}

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Start and end of each token in code points of the text, in order.

        Tokens that hold a part of one character, as byte-level tokenizers make of emoji, all get that character.
        """
        offsets: list[tuple[int, int]] = self._tokenizer.encode(encodable(text), add_special_tokens=False).offsets
        return offsets
