"""Where everything lies and under which key: the one place that knows how stages depend on each other.

A key is a digest of the stage's code version, the keys of its inputs, the settings that decide its result, the prompt
and the identity of the models. Keys are computed, not looked up, so what is pending is a set difference on one listing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any

from models.checkpoints import identify
from models.digests import digest
from models.errors import UsageError
from models.genericizer import Genericizer
from models.instantiator import Instantiator
from models.judge import Judge
from models.settings import AskSettings, EmbedderSettings, GenericizerSettings, InstantiatorSettings, JudgeSettings
from models.tokens import Tokenizer
from tasks.inputs import list_files
from tasks.records import Bank, CurrentBank, Kind, Scope, Selection, Shard, Stage
from tasks.settings import Profile, ReadSettings, load_profile
from tasks.storage import Store, open_store
from tasks.work import Job

VERSIONS: dict[Stage, int] = {
    "ingest": 2,
    "select": 1,
    "mine": 3,
    "index": 1,
    "match": 2,
    "instantiate": 5,
    "judge": 2,
    "release": 2,
}
"""Code versions; raise one when the same inputs and settings give another result."""


@dataclass(frozen=True)
class Workspace:
    """A scope opened: its store and its checked profile."""

    scope: Scope
    store: Store
    profile: Profile

    def corpus_folder(self, kind: Kind) -> str:
        """Folder of all shards of this corpus."""
        return f"{'queries' if kind == 'queries' else 'shards'}/{self.scope.corpus}"

    def manifest_folder(self, kind: Kind) -> str:
        """Folder of the manifests of input files."""
        return f"corpora/{self.scope.corpus}/{kind}"

    def ingest_job(self, kind: Kind, shard: str, key: str) -> Job:
        """Reading one shard; its key comes from the content of the file and the reader's settings."""
        return Job(self.store, "ingest", shard, f"{self.corpus_folder(kind)}/{shard}/ingest-{key[:8]}", key)

    def select_job(self, shards: tuple[Shard, ...]) -> Job:
        """Cleaning all queries of the corpus together."""
        inputs = tuple(shard.key for shard in shards)
        queries = self.profile.queries
        cleaning = queries.model_dump(mode="json", exclude=set(ReadSettings.model_fields))
        evaluation = [(file.url, file.identity) for file in list_files(queries, queries.evaluation_files)]
        key = self._key("select", inputs, cleaning, evaluation, self.moderator)
        folder = f"{self.corpus_folder('queries')}/all/select-{key[:8]}"
        return Job(self.store, "select", "all", folder, key, inputs, {"moderator": self.moderator})

    def mine_job(self, selection: Selection) -> Job:
        """Genericizing the selected queries of one shard."""
        return self._asking("mine", "genericizer", selection.shard, selection.digest)

    def index_job(self, selections: tuple[Selection, ...]) -> Job:
        """Building a version of the bank from all templates of the corpus."""
        inputs = tuple(self.mine_job(selection).key for selection in selections)
        key = self._key("index", inputs, self.profile.index.fingerprint(), self.embedder_digest)
        models = {"embedder": self.identity("embedder"), "genericizer": self.identity("genericizer")}
        return Job(self.store, "index", "all", f"bank/{key[:8]}", key, inputs, models)

    def match_job(self, shard: Shard) -> Job:
        """Matching one shard of documents to the bank."""
        settings = {**self.profile.match.fingerprint(), "part_rows": None}
        key = self._key("match", (shard.key, self.bank.version), settings, self.embedder_digest)
        models = {"embedder": self.identity("embedder"), "genericizer": self.bank.genericizer}
        folder = f"{self.corpus_folder('documents')}/{shard.name}/match-{key[:8]}"
        return Job(self.store, "match", shard.name, folder, key, (shard.key, self.bank.version), models)

    def instantiate_job(self, shard: Shard) -> Job:
        """Instantiating the matches of one shard."""
        others = {"passages": passages} if (passages := self.identity("passages")) else {}
        return self._asking("instantiate", "instantiator", shard.name, self.match_job(shard).key, others)

    def judge_job(self, shard: Shard) -> Job:
        """Judging the pairs of one shard."""
        return self._asking("judge", "judge", shard.name, self.instantiate_job(shard).key)

    def job(self, stage: Stage, shard: Shard) -> Job:
        """The job of a stage that works shard by shard on documents.

        Raises:
            ValueError: for another stage.
        """
        match stage:
            case "match":
                return self.match_job(shard)
            case "instantiate":
                return self.instantiate_job(shard)
            case "judge":
                return self.judge_job(shard)
        raise ValueError(f"{stage} does not work shard by shard on documents")

    def release_key(self, shards: tuple[Shard, ...]) -> str:
        """Key of the release of these shards; their sources are in it, for the data card tells of them."""
        inputs = tuple(self.judge_job(shard).key for shard in shards)
        sources = [source.model_dump(mode="json") for source in dict.fromkeys(shard.file.source for shard in shards)]
        return self._key("release", inputs, self.profile.release.fingerprint(), self.tokenizer, sources)

    @property
    def bank(self) -> Bank:
        """The template bank this scope is pinned to, or the current one.

        Raises:
            UsageError: when there is none, or it was made with another embedder.
        """
        return _bank(self.store, self.scope.bank, self.embedder_digest, self.identity("embedder"))

    def pinned(self) -> "Workspace":
        """This workspace pinned to the bank that is current now, so that many keys need one look at the store.

        Raises:
            UsageError: as `bank`.
        """
        return open_workspace(self.scope.with_bank(self.bank.version))

    @cached_property
    def embedder_digest(self) -> str:
        """Digest of everything that decides a vector."""
        return digest(self.identity("embedder"), self.profile.embedder.fingerprint())

    @property
    def tokenizer(self) -> str:
        """Identity of the tokenizer that counts."""
        return _identify(self.profile.tokenizer, "")

    def open_tokenizer(self) -> Tokenizer:
        """The tokenizer that counts, loaded once a process."""
        return _open_tokenizer(self.profile.tokenizer)

    def identity(self, role: str) -> str:
        """Identity of the model in a role: embedder, genericizer, instantiator, judge, or `passages` ("" for none)."""
        if role == "embedder":
            return _identify_embedder(self.profile.embedder)
        if role == "passages":
            retrieval = self.profile.instantiator.retrieval
            return _identify_embedder(retrieval.embedder) if retrieval else ""
        settings: AskSettings = getattr(self.profile, role)
        return self._engine_identity(settings.engine)

    @property
    def moderator(self) -> str:
        """What removes harmful queries: `off`, or the model of the endpoint or guard."""
        moderation = self.profile.queries.moderation
        if moderation.kind == "guard":
            return self._engine_identity(moderation.engine)
        return "off" if moderation.kind == "off" else f"{moderation.model or 'endpoint'}@unpinned"

    def prompt_digest(self, role: str) -> str:
        """Digest of the prompt of an LLM role."""
        return _prompt_digest(getattr(self.profile, role))

    def _engine_identity(self, name: str) -> str:
        engine = self.profile.engines[name]
        if engine.kind == "server":
            return f"{engine.model}@{engine.revision or 'unpinned'}"
        return _identify(engine.model, engine.revision, engine.adapter)

    def _asking(
        self, stage: Stage, role: str, shard: str, input_key: str, others: Mapping[str, str] = MappingProxyType({})
    ) -> Job:
        settings: AskSettings = getattr(self.profile, role)
        engine = self.profile.engines[settings.engine]
        prompt, model = self.prompt_digest(role), self.identity(role)
        key = self._key(
            stage, (input_key,), settings.fingerprint(), engine.fingerprint(), model, prompt, *others.values()
        )
        kind: Kind = "queries" if stage == "mine" else "documents"
        folder = f"{self.corpus_folder(kind)}/{shard}/{stage}-{key[:8]}"
        return Job(self.store, stage, shard, folder, key, (input_key,), {role: model, **others}, prompt)

    def _key(self, stage: Stage, inputs: tuple[str, ...], *parts: Any) -> str:
        return digest(stage, VERSIONS[stage], inputs, *parts)


@lru_cache(maxsize=64)
def _identify(model: str, revision: str, adapter: str = "") -> str:
    return identify(model, revision, adapter)


def _identify_embedder(settings: EmbedderSettings) -> str:
    return _identify(settings.model, settings.revision, settings.adapter)


@lru_cache(maxsize=16)
def _prompt_digest(settings: GenericizerSettings | InstantiatorSettings | JudgeSettings) -> str:
    match settings:
        case GenericizerSettings():
            return Genericizer(settings).prompt_digest
        case InstantiatorSettings():
            return Instantiator(settings).prompt_digest
        case JudgeSettings():
            return Judge(settings).prompt_digest


@lru_cache(maxsize=2)
def _open_tokenizer(model: str) -> Tokenizer:
    return Tokenizer(model)


@lru_cache(maxsize=16)
def _read_bank(store: Store, version: str) -> Bank:
    return store.read_record(f"bank/{version}/bank.json", Bank)


def _bank(store: Store, version: str, embedder_digest: str, embedder: str) -> Bank:
    try:
        version = version or store.read_record("bank/current.json", CurrentBank).version
        bank = _read_bank(store, version)
    except FileNotFoundError as error:
        wanted = f"version {version!r}" if version else "bank/current.json"
        raise UsageError(
            f"store {store.url!r} has no template bank ({wanted}); run `fineinstructions mine` and `index` first"
        ) from error
    if bank.embedder_digest != embedder_digest:
        raise UsageError(
            f"bank {bank.version} was made with the embedder {bank.embedder} and its settings, but the profile wants "
            f"{embedder}; build a bank for it with `fineinstructions index`, or use the profile the bank was made with"
        )
    return bank


@lru_cache(maxsize=32)
def open_workspace(scope: Scope) -> Workspace:
    """Open a scope's store and check its profile; nothing is written and no model is loaded.

    Raises:
        UsageError: when the store, the profile or a model's name cannot work.
    """
    return Workspace(scope, open_store(scope.store), load_profile(scope.profile, scope.overrides))
