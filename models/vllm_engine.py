"""vLLM inside this process, on CPU or GPU, driven step by step so that completions stream out as they finish.

Guarantees those of `models.engine`. A request that vLLM refuses, or whose decoding fails, yields a completion with one
of the errors below; any other exception of vLLM means that the engine is gone: `TransientError`, and `alive` is False.

    prompt_too_long   the prompt leaves no room for a single token within `max_model_len`
    chat_template     the model's chat template does not take these messages
    invalid_grammar   the grammar cannot be decoded with
    refused           vLLM does not take the request; the text says why
    decoding_failed   decoding broke off, for example because the grammar allowed no token

On a CPU the engine's core runs in this process: it starts in half the time, uses all cores, and a killed process leaves
no orphan. On a GPU it is vLLM's own child process, whose end is the surest way to give all memory back; killed with -9,
this process leaves that child behind. `VLLM_ENABLE_V1_MULTIPROCESSING` overrules both. One thread at a time may use an
engine; it need not be the main thread. Not covered: multimodal models.
"""

import gc
import itertools
import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from models.checkpoints import identify, resolve
from models.engine import FINISHED, Completion, Message, Request, failure
from models.errors import TransientError, UsageError
from models.grammar_check import check_grammar
from models.precision import cpu_dtype
from models.settings import VLLMSettings
from models.tokens import Tokenizer, encodable

logger = logging.getLogger(__name__)


class VLLMEngine:
    """An engine that decodes in this process; loading takes 15 to 60 seconds.

    Raises:
        UsageError: vLLM is not installed, or cannot load the model with these settings.
    """

    def __init__(self, settings: VLLMSettings) -> None:
        self.identity = identify(settings.model, settings.revision, settings.adapter)
        self.alive = True
        self._settings = settings
        self._llm = _start(settings)
        self._tokenizer = self._llm.get_tokenizer()
        self._biases = lru_cache(Tokenizer(settings.model, settings.revision).biases)
        self._serial = itertools.count()
        self._in_flight: dict[str, Request] = {}

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Yield one completion per request, as they finish; stopping early aborts what is in flight.

        Raises:
            TransientError: the engine is gone.
            UsageError: a request's bias names a text that is not one token of the model.
            RuntimeError: another `complete` of this engine is not finished.
        """
        if self._in_flight:
            raise RuntimeError("expected the engine to be idle, but another complete() is not finished")
        if not self.alive:
            raise TransientError(f"the vLLM engine of {self.identity} is gone; open a new one")
        pending = iter(requests)
        try:
            while True:
                yield from self._admit(pending)
                if not self._in_flight:
                    return
                yield from self._step()
        finally:
            if self.alive and self._in_flight:
                self._llm.abort_request(list(self._in_flight))
            self._in_flight.clear()

    def close(self) -> None:
        """Give all memory back, that of the GPU included; the engine cannot be used afterwards."""
        if self._llm is None:
            return
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        self.alive = False
        self._llm.engine_core.shutdown()
        self._llm = self._tokenizer = None
        cleanup_dist_env_and_memory()
        gc.collect()

    def _admit(self, pending: Iterator[Request]) -> Iterator[Completion]:
        """Fill up to the bound; yields the requests that are refused at the door."""
        while len(self._in_flight) < self._settings.max_in_flight:
            request = next(pending, None)
            if request is None:
                return
            refusal = self._submit(request)
            if refusal:
                yield refusal

    def _submit(self, request: Request) -> Completion | None:
        from jinja2 import TemplateError
        from vllm.exceptions import VLLMClientError
        from vllm.inputs import tokens_input

        try:
            prompt = self._prompt(request.messages)
        except TemplateError as error:
            return failure(request, "chat_template", str(error))
        limit = self._settings.max_model_len
        if len(prompt) >= limit:
            return failure(request, "prompt_too_long", f"{len(prompt)} tokens, max_model_len is {limit}")
        bias = self._biases(request.bias)
        number = str(next(self._serial))
        try:
            with self._watched():
                # vLLM checks the grammar here, before anything is scheduled, so that a bad one harms no other.
                self._llm.add_request(number, tokens_input(prompt), _sampling_params(request, bias))
        except (VLLMClientError, ValueError) as error:
            wrong = check_grammar(request.grammar) if request.grammar is not None else None
            return failure(request, "invalid_grammar", wrong) if wrong else failure(request, "refused", str(error))
        self._in_flight[number] = request
        return None

    def _prompt(self, messages: Sequence[Message]) -> list[int]:
        conversation = [{"role": message.role, "content": encodable(message.content)} for message in messages]
        prompt: list[int] = self._tokenizer.apply_chat_template(
            conversation, add_generation_prompt=True, tokenize=True, return_dict=False
        )
        return prompt

    def _step(self) -> Iterator[Completion]:
        with self._watched():
            outputs = self._llm.step()
        for output in outputs:
            if output.finished:
                yield _completion(self._in_flight.pop(output.request_id), output)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Whatever goes wrong inside vLLM's core, its state is unknown afterwards."""
        from vllm.exceptions import VLLMServerError

        try:
            yield
        except (VLLMServerError, RuntimeError, AssertionError, MemoryError, OSError) as error:
            self.alive = False
            raise TransientError(
                f"the vLLM engine of {self.identity} died with {len(self._in_flight)} requests in flight: "
                f"{error or type(error).__name__}; open a new one, with a smaller max_in_flight if memory ran out"
            ) from error


def _start(settings: VLLMSettings) -> Any:
    """Load the model and return vLLM's `LLMEngine`."""
    folder = resolve(settings.model, settings.revision, settings.adapter)
    if not _has_chat_template(folder):
        raise UsageError(f"expected a chat model, {settings.model} has no chat template; use an instruct model")
    # vLLM sets up its logging when it is imported, and adds an allocator to LD_PRELOAD that only its children want.
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    preload = os.environ.get("LD_PRELOAD")
    try:
        from vllm.engine.arg_utils import EngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.llm_engine import LLMEngine
    except ImportError as error:
        raise UsageError(
            f"vLLM cannot be imported ({error}); install fineinstructions[cpu] or fineinstructions[gpu]"
        ) from error
    on_cpu: bool = current_platform.is_cpu()
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0" if on_cpu else "1")
    logger.info("loading %s into vLLM", settings.model)
    try:
        return LLMEngine.from_engine_args(EngineArgs(model=str(folder), **_arguments(settings, on_cpu)))
    except (ValueError, RuntimeError, OSError) as error:
        raise UsageError(
            f"vLLM cannot load {settings.model}: {error}; check the model, max_model_len and the memory settings"
        ) from error
    finally:
        if preload is None:
            os.environ.pop("LD_PRELOAD", None)
        else:
            os.environ["LD_PRELOAD"] = preload


def _has_chat_template(folder: Path) -> bool:
    if any(folder.glob("chat_template*")):
        return True
    config = folder / "tokenizer_config.json"
    return config.is_file() and "chat_template" in json.loads(config.read_text("utf-8"))


def _arguments(settings: VLLMSettings, on_cpu: bool) -> dict[str, Any]:
    from vllm.config import StructuredOutputsConfig

    return {
        "dtype": cpu_dtype() if on_cpu and settings.dtype == "auto" else settings.dtype,
        "max_model_len": settings.max_model_len,
        "max_num_seqs": settings.max_in_flight,
        "enable_prefix_caching": True,
        # The least that CPU attention takes: prompts share a few hundred tokens, and only whole blocks are cached.
        "block_size": 32 if on_cpu else None,
        "structured_outputs_config": StructuredOutputsConfig(backend="guidance"),
        "tensor_parallel_size": settings.tensor_parallel_size,
        "gpu_memory_utilization": settings.gpu_memory_utilization,
        "kv_cache_memory_bytes": settings.cpu_kv_cache_gib << 30 if on_cpu else None,
        # Compiling takes longer than a small model on a CPU gains from it.
        "enforce_eager": on_cpu or settings.enforce_eager,
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
    }


def _sampling_params(request: Request, bias: dict[int, float]) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    sampling, grammar = request.sampling, request.grammar
    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_tokens,
        # Greedy decoding draws nothing, and a generator per request is not free.
        seed=sampling.seed if sampling.temperature > 0 else None,
        logit_bias=bias or None,
        structured_outputs=None if grammar is None else StructuredOutputsParams(grammar=grammar),
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _completion(request: Request, output: Any) -> Completion:
    (sequence,) = output.outputs
    finished = FINISHED.get(sequence.finish_reason)
    return Completion(
        id=request.id,
        text=sequence.text,
        finish_reason=finished or "error",
        prompt_tokens=len(output.prompt_token_ids),
        cached_tokens=output.num_cached_tokens or 0,
        output_tokens=len(sequence.token_ids),
        error=None if finished else "decoding_failed",
    )
