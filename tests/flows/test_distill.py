"""Distillation for real: labels in files, a tuned embedder with its figures and its card out."""

import json
from pathlib import Path

import pytest

from flows.distill import distill
from models.adapters import find_adapter
from models.embedder import open_embedder
from models.errors import UsageError
from tasks.distill.lessons import read_lesson
from tasks.distill.matcher import read_sides
from tasks.distill.passages import read_quotations
from tasks.distill.plan import Distillation
from tests.models.training.small_model import small_model

SUBJECTS = {
    "a": ("bees", "Bees gather nectar. They make honey of it in the hive."),
    "h": ("castles", "A castle has thick walls. Its gate is closed at night."),
    "c": ("jazz", "Jazz began in New Orleans. Its players improvise."),
    "d": ("tides", "The moon causes the tides. They come twice a day."),
    "y": ("bread", "Bread is made of flour. It is baked in an oven."),
}
"""By document id; `h` and `y` are held out."""

QUICK = (
    "distill.contrast.round_one_epochs=1",
    "distill.contrast.round_two_epochs=1",
    "distill.contrast.rank=2",
    "embedder.window_tokens=64",
    "embedder.overlap_tokens=8",
)


@pytest.fixture
def silver(tmp_path: Path) -> Path:
    """A folder of labels."""
    folder = tmp_path / "silver"
    folder.mkdir()
    rows = [
        {
            "document_id": name,
            "document_start": 0,
            "document": text,
            "template": "what of <fi>a thing</fi>?",
            "compatible_document_description": f"A text about {SUBJECTS[other][0]}.",
            "compatible": name == other,
            "instruction": f"what of {subject}?" if name == other else None,
            "answer": f"<excerpt>{text.split('. ')[0]}.</excerpt>" if name == other else None,
        }
        for name, (subject, text) in SUBJECTS.items()
        for other in SUBJECTS
    ]
    (folder / "instantiator.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
def test_an_embedder_is_trained_measured_and_described_once(silver: Path, tmp_path: Path) -> None:
    """The second time nothing is done; another setting of its own makes another folder, and of no other part."""
    plan = Distillation(target="embedder", silver=str(silver), out=str(tmp_path / "out"), overrides=QUICK)
    (trained,) = distill(plan)
    assert trained.base["pairs"] == trained.tuned["pairs"] == 10
    card = (trained.adapter / "README.md").read_text()
    assert f'adapter = "{trained.adapter}"' in card
    assert "| recall_at_10 |" in card
    tuned = open_embedder(plan.settings.embedder.model_copy(update={"adapter": str(trained.adapter)}))
    assert "+adapter@" in tuned.identity
    before = {path: path.stat().st_mtime_ns for path in trained.adapter.parent.rglob("*.safetensors")}
    assert distill(plan) == [trained]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    other = plan.model_copy(update={"overrides": (*QUICK, "distill.contrast.rank=4")})
    assert other.folder("embedder") != plan.folder("embedder")
    for part in ("helpers", "passages"):
        assert len({one.model_copy(update={"target": "all"}).folder(part) for one in (plan, other)}) == 1
    assert "distill.contrast.rank" not in " ".join(other.overrides_of("helpers"))


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
def test_an_embedder_of_passages_is_trained_measured_and_described_once(silver: Path, tmp_path: Path) -> None:
    """On those labels of the instantiator that have an answer."""
    quick = ("distill.passages.epochs=1", "distill.passages.rank=2")
    plan = Distillation(target="passages", silver=str(silver), out=str(tmp_path / "out"), overrides=quick)
    (trained,) = distill(plan)
    assert trained.tuned["instantiator.jsonl"]["labels"] == 2
    card = (trained.adapter / "README.md").read_text()
    assert f'[instantiator.passages.embedder]\nadapter = "{trained.adapter}"' in card
    assert "| passages: instantiator.jsonl | 3 | 2 |" in card
    assert distill(plan) == [trained]
    with pytest.raises(UsageError, match="expected answers among those held out, found none"):
        read_quotations(plan.model_copy(update={"overrides": (*quick, "distill.held_out=1e-9")}))
    with pytest.raises(UsageError, match="no embedder of passages to train"):
        Distillation(target="passages", silver=plan.silver, out=plan.out, profile="paper").folder("passages")


def test_all_trains_the_embedder_of_passages_where_answers_are_retrieved() -> None:
    """The profile says so."""
    plan = Distillation(silver="labels", out="out")
    assert plan.parts == ("embedder", "passages", "helpers")
    assert plan.model_copy(update={"profile": "paper"}).parts == ("embedder", "helpers")


def test_missing_labels_are_named_before_anything_is_trained(silver: Path, tmp_path: Path) -> None:
    """Here those of the genericizer."""
    plan = Distillation(target="genericizer", silver=str(silver), out=str(tmp_path / "out"))
    with pytest.raises(UsageError, match=r"expected genericizer\.jsonl among them, found instantiator\.jsonl"):
        read_lesson(plan, "genericizer")


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
def test_a_helper_is_trained_on_another_base_and_described(silver: Path, tmp_path: Path) -> None:
    """So few labels leave nothing to measure by; the card names the helper's own engine, and the base for it."""
    rows = [
        {"document_id": name, "instruction": f"why {name}?", "answer": "Because.", "score": 1, "feedback": "No reason."}
        for name in SUBJECTS
    ]
    (silver / "judged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    quick = ("distill.held_out=1e-9", "distill.train.lowest_layer=0", "distill.train.rank=2")
    engine = ("judge.engine=own", "engines.own.kind=vllm", "engines.own.model=owner/model", "engines.own.revision=v1")
    plan = Distillation(
        target="judge",
        silver=str(silver),
        out=str(tmp_path / "out"),
        overrides=(*quick, *engine),
        base=small_model(tmp_path / "base"),
    )
    (trained,) = distill(plan)
    assert trained.base == trained.tuned == {}
    entry = f'[engines.own]\nmodel = "{plan.base}"\nrevision = ""\nadapter = "{trained.adapter}"'
    card = (trained.adapter / "README.md").read_text()
    assert entry in card
    assert "| judge: judged.jsonl | 5 | 0 | none |" in card
    assert find_adapter(str(trained.adapter)) == trained.adapter
    assert distill(plan) == [trained]


def test_labels_that_could_not_be_measured_are_refused_before_training(silver: Path, tmp_path: Path) -> None:
    """A file with nothing held out, and pairs that all fit."""
    rows = [json.loads(line) for line in (silver / "instantiator.jsonl").read_text().splitlines()]
    learned = "".join(json.dumps(row) + "\n" for row in rows if row["document_id"] not in ("h", "y"))
    (silver / "retrieved.jsonl").write_text(learned)
    plan = Distillation(silver=str(silver), out=str(tmp_path / "out"))
    with pytest.raises(UsageError, match=r"retrieved\.jsonl.*held out, found 0 of one kind"):
        read_sides(plan)
    fitting = "".join(json.dumps(row) + "\n" for row in rows if row["compatible"])
    for name in ("instantiator", "retrieved"):
        (silver / f"{name}.jsonl").write_text(fitting)
    with pytest.raises(UsageError, match="to choose the margin for null by, found 6 of one kind"):
        read_lesson(plan, "instantiator")


def test_the_judge_also_learns_from_judged_pairs_of_a_small_model(silver: Path, tmp_path: Path) -> None:
    """They stand beside the labels that pairs carry, on either side of the split."""
    rows = [
        {"document_id": name, "instruction": f"why {name}?", "answer": "Because.", "score": 1, "feedback": "No reason."}
        for name in SUBJECTS
    ]
    (silver / "judged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lesson = read_lesson(Distillation(target="judge", silver=str(silver), out=str(tmp_path / "out")), "judge")
    assert lesson.learned["judged"].labels["document_id"].to_list() == ["a", "c", "d"]
    assert lesson.held["judged"].labels["document_id"].to_list() == ["h", "y"]
    assert len(lesson.learned["judged"].examples) == 3
