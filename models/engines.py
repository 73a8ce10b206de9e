"""The one engine of this process: opening another closes the first, so that two never share the memory."""

from models.engine import Engine
from models.server_engine import ServerEngine
from models.settings import EngineSettings, ServerSettings
from models.vllm_engine import VLLMEngine

_open: dict[str, tuple[EngineSettings, VLLMEngine | ServerEngine]] = {}


def open_engine(settings: EngineSettings) -> Engine:
    """The engine of these settings; the one that is open if it has the same settings and still lives.

    Raises:
        UsageError: the engine cannot be opened with these settings.
    """
    if "engine" in _open:
        opened, engine = _open["engine"]
        if opened == settings and engine.alive:
            return engine
        close_engine()
    engine = ServerEngine(settings) if isinstance(settings, ServerSettings) else VLLMEngine(settings)
    _open["engine"] = (settings, engine)
    return engine


def close_engine() -> None:
    """Close the engine that is open, if any, and give its memory back."""
    if "engine" in _open:
        _, engine = _open.pop("engine")
        engine.close()
