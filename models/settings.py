"""Settings of the learned parts: frozen pydantic models; an unknown key is refused.

`RUNTIME` names the fields that change how fast something runs but not what comes out; they are left out of every key,
so that turning them re-runs nothing.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

ADAPTER = (
    "LoRA adapter, merged into the model once: `bundled:NAME` for one of this project's, a local folder, or "
    "`owner/name@revision` on the hub; empty means none."
)

Words = Annotated[tuple[str, ...], AfterValidator(lambda words: tuple(word.casefold() for word in words))]
"""Words and marks that stand for all their forms in upper and lower case."""


class Settings(BaseModel):
    """Base of all settings and parameters: frozen, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    RUNTIME: ClassVar[frozenset[str]] = frozenset()

    def fingerprint(self) -> dict[str, Any]:
        """The JSON-able settings that decide the result, for keys."""
        dumped = self.model_dump(mode="json", exclude=set(self.RUNTIME))
        nested = {name: value for name in dumped if isinstance(value := getattr(self, name), Settings)}
        return dumped | {name: value.fingerprint() for name, value in nested.items()}


class Sampling(Settings):
    """How the next token is chosen. Temperature 0 is greedy."""

    temperature: float = Field(0.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(256, ge=1)
    seed: int = Field(0, ge=0)


class VLLMSettings(Settings):
    """vLLM inside this process, on CPU or GPU."""

    kind: Literal["vllm"] = "vllm"
    model: str = Field(description="Hub name, local folder, or `package:NAME` for a checkpoint carried by a package.")
    revision: str = Field("", description="Commit or tag on the hub; empty means the newest.")
    adapter: str = Field("", description=ADAPTER)
    max_model_len: int = Field(2048, ge=64, description="Tokens of prompt and completion together.")
    max_in_flight: int = Field(64, ge=1)
    dtype: str = Field(
        "auto",
        description="`auto`: the checkpoint's own on a GPU; bfloat16, or float32 where that is emulated, on a CPU.",
    )
    gpu_memory_utilization: float = Field(0.9, gt=0, lt=1)
    cpu_kv_cache_gib: int = Field(4, ge=1)
    tensor_parallel_size: int = Field(1, ge=1)
    enforce_eager: bool = False

    RUNTIME: ClassVar[frozenset[str]] = frozenset(
        {"max_in_flight", "gpu_memory_utilization", "cpu_kv_cache_gib", "tensor_parallel_size", "enforce_eager"}
    )


class ServerSettings(Settings):
    """Any OpenAI-compatible endpoint: `vllm serve`, llama.cpp's server, a hosted one."""

    kind: Literal["server"] = "server"
    url: str = Field(description="Base URL up to and with `/v1`.")
    model: str = Field(description="Model name as the server knows it.")
    revision: str = Field("", description="Recorded in the data; a server does not tell its own.")
    tokenizer: str = Field("", description="Checkpoint whose tokenizer counts tokens; empty means `model`.")
    api_key_env: str = Field("", description="Name of the environment variable that holds the key.")
    max_in_flight: int = Field(256, ge=1)
    timeout_seconds: float = Field(300, gt=0)
    attempts: int = Field(6, ge=1, description="Tries per request for transient failures.")
    structured_outputs: bool = Field(True, description="The server understands vLLM's `structured_outputs`.")

    RUNTIME: ClassVar[frozenset[str]] = frozenset(
        {"url", "api_key_env", "max_in_flight", "timeout_seconds", "attempts"}
    )


EngineSettings = Annotated[VLLMSettings | ServerSettings, Field(discriminator="kind")]


class AskSettings(Settings):
    """What the three LLM stages have in common."""

    engine: str = Field(description="Name of an entry in `[engines]`.")
    sampling: Sampling = Sampling()
    constrained: bool = Field(True, description="Enforce the output's grammar while decoding.")
    re_asks: int = Field(1, ge=0, le=5, description="Times a malformed completion is asked for again.")
    error_budget: float = Field(0.05, ge=0, le=1, description="Share of failed requests above which a shard fails.")

    RUNTIME: ClassVar[frozenset[str]] = frozenset({"engine", "error_budget"})


class GenericizerSettings(AskSettings):
    """Query to template and compatible document description (paper 3.1)."""

    prompt: Literal["bare", "explained", "teacher"] = Field(
        "explained",
        description="`bare`: the query alone, for a tuned model; `explained`: ours; `teacher`: ours for a large model.",
    )


class EmbedderSettings(Settings):
    """A sentence-transformers model with Gaussian pooling over whole documents (paper 3.2, App. B)."""

    model: str
    revision: str = ""
    adapter: str = Field("", description=ADAPTER)
    chunks: int = Field(5, ge=1, description="K, local embeddings per document.")
    sigma: float = Field(0.05, gt=0, description="Width of a chunk as a share of the document's tokens.")
    alpha: float = Field(1.0, ge=0, le=1, description="1 = purely local, 0 = purely global.")
    window_tokens: int = Field(512, ge=16, description="Tokens the model sees at once, special tokens included.")
    overlap_tokens: int = Field(64, ge=0, description="Tokens shared by neighbouring windows.")
    batch_tokens: int = Field(16384, ge=16, description="Padded tokens per forward pass.")

    RUNTIME: ClassVar[frozenset[str]] = frozenset({"batch_tokens"})


class PassageSettings(Settings):
    """The answer is the passage nearest to the instruction: for models too small to choose one."""

    embedder: EmbedderSettings = Field(description="Of questions and answers, not of documents and descriptions.")
    sentences: int = Field(5, ge=1, le=5, description="Most sentences of a passage.")
    dangling: Words = Field(
        (), description="Words that no passage begins with, in any case: they mean what was said before."
    )
    min_relevance: float = Field(
        ge=-1, le=1, description="Cosine of instruction and passage below which there is no answer."
    )
    min_slot_fit: float = Field(
        -1.0, ge=-1, le=1, description="Cosine of a slot's description and its value below which it is filled wrongly."
    )


class InstantiatorSettings(AskSettings):
    """Template and document to instruction and answer (paper 3.3)."""

    layout: Literal["paper", "document-first"] = "document-first"
    prompt: Literal["bare", "explained", "teacher"] = Field(
        "explained",
        description="Of layout document-first. `bare`: document and template alone, for a tuned model; `explained`: "
        "ours; `teacher`: ours for a large model (paper App. C).",
    )
    slot_values: Literal["free", "document"] = Field(
        "free",
        description="`document`: a slot takes only words that follow each other in a clause of the document, at "
        "its beginning also in lower case; for small models.",
    )
    slot_endings: Words = Field(
        (),
        description="What no slot's value ends with: function words of the language, in any case, and marks.",
    )
    slot_characters: int = Field(60, ge=1, description="Longest value of a slot, where decoding is constrained.")
    answers: Literal["written", "retrieved"] = Field(
        "written",
        description="`retrieved`: the model only fills the slots, and the answer is the passage nearest to the "
        "instruction; for small models.",
    )
    passages: PassageSettings | None = Field(None, description="How answers are retrieved.")
    null_bias: float = Field(
        0.0,
        ge=-100,
        le=100,
        description="Added to the logit of `null`: the margin at which the model finds a document incompatible.",
    )
    document_tokens: int = Field(1024, ge=64, description="A longer document is shown as the window that matched.")
    min_excerpt_share: float = Field(0.80, ge=0, le=1, description="Share of the answer's characters (paper 3.3).")
    min_answer_characters: int = Field(12, ge=1)
    max_answer_characters: int = Field(4000, ge=1)

    @model_validator(mode="after")
    def passages_are_known(self) -> Self:
        """Whoever retrieves answers says how."""
        if self.answers == "retrieved" and self.passages is None:
            raise ValueError("answers = 'retrieved' needs [instantiator.passages] with embedder and min_relevance")
        return self

    @property
    def retrieval(self) -> PassageSettings | None:
        """How answers are retrieved, where they are."""
        return self.passages if self.answers == "retrieved" else None


class JudgeSettings(AskSettings):
    """Instruction and answer to feedback and a score from 1 to 5 (paper 3.4)."""

    prompt: Literal["bare", "flow-judge"] = Field(
        "flow-judge",
        description="`bare`: the pair alone, scored first, for a tuned model; `flow-judge`: with a rubric.",
    )
    max_feedback_characters: int = Field(400, ge=20)

    @property
    def score_first(self) -> bool:
        """Whether the score comes before its reasons; those of a small tuned model are too vague to score by."""
        return self.prompt == "bare"
