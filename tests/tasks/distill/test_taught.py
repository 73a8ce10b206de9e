"""What a teacher's store holds becomes labels that training can read."""

import json
from pathlib import Path

import polars as pl

from models.settings import InstantiatorSettings
from tasks.bank import templates_folder
from tasks.distill.examples import teach_instantiator
from tasks.distill.labels import read_genericizer_labels, read_judge_labels, read_pair_labels
from tasks.distill.taught import export_labels
from tasks.tables import MATCHES, PAIRS, REJECTED, VERDICTS
from tasks.work import Batch, run
from tasks.workspace import Workspace
from tests.tasks import small_corpus, small_store

ANSWER = "Yes: They purr when they are content."
QUOTED = "They purr when they are content."
TEXT = "Cats are small hunters that sleep for most of the day. They purr when they are content. They hunt at night."


def test_pairs_nulls_templates_and_verdicts_become_labels(tmp_path: Path) -> None:
    """A match that ended in a malformed answer says nothing and is left out."""
    workspace = _with_bank()
    shard = small_store.ingest(workspace, 0, {"bees": "Bees make honey out of nectar.", "cats": TEXT})
    small_corpus.record(workspace, "documents", [small_corpus.manifest(workspace, shard)])
    start = TEXT.index(QUOTED)
    identity = {"document_id": "cats", "document_url": shard.file.url, "document_row": 1, "similarity": 0.5, "chunk": 1}
    template = {"template_id": "t1", "template": "What about <fi>a thing</fi>?"}
    rows = [{"pair_id": name, **identity, **template} for name in ("made", "refused", "malformed")]
    rows[1].update(document_id="bees", document_row=0)
    matches = pl.DataFrame([{name: row.get(name) for name in MATCHES} for row in rows], schema=MATCHES)
    run(workspace.match_job(shard), [matches], lambda found: Batch(found, REJECTED.to_frame()))
    excerpt = {
        "answer_start": 5,
        "answer_end": len(ANSWER),
        "document_start": start,
        "document_end": start + len(QUOTED),
    }
    pair = {**rows[0], "instruction": "What about purring?", "answer": ANSWER, "excerpts": [excerpt]}
    made = pl.DataFrame([{name: pair.get(name) for name in PAIRS}], schema=PAIRS)
    reasons = {"id": ["refused", "malformed"], "kind": ["rejected"] * 2, "reason": ["null", "not_json"]}
    refused = pl.concat([REJECTED.to_frame(), pl.DataFrame(reasons)], how="diagonal")
    run(workspace.instantiate_job(shard), [matches], lambda _: Batch(made, refused))
    verdict = pl.DataFrame([("made", 5, "To the point.", "p")], schema=VERDICTS, orient="row")
    run(workspace.judge_job(shard), [made], lambda _: Batch(verdict, REJECTED.to_frame()))

    written = export_labels(workspace.scope, str(tmp_path))
    assert written == {"genericizer.jsonl": 1, "instantiator.jsonl": 2}
    assert read_genericizer_labels(f"{tmp_path}/genericizer.jsonl")["template"].to_list() == [template["template"]]
    pairs = read_pair_labels(f"{tmp_path}/instantiator.jsonl")
    assert dict(zip(pairs["compatible"], pairs["answer"], strict=True)) == {
        True: f"Yes: <excerpt>{QUOTED}</excerpt>",
        False: None,
    }
    judgements, rejected = read_judge_labels(f"{tmp_path}/instantiator.jsonl")
    assert judgements.select("answer", "score").rows() == [(ANSWER, 5)]
    assert rejected.is_empty()


def test_shards_without_matches_and_without_pairs_are_told_of_as_well(tmp_path: Path) -> None:
    """One ended with no match, one with nothing but a null, which leaves the judge nothing to do."""
    workspace = _with_bank()
    shards = [small_store.ingest(workspace, number, {"bees": TEXT}) for number in range(2)]
    small_corpus.record(workspace, "documents", [small_corpus.manifest(workspace, shard) for shard in shards])
    match = {"pair_id": "null", "document_id": "bees", "document_row": 0, "similarity": 0.5, "chunk": 1}
    match |= {"template_id": "t1", "template": "What about <fi>a thing</fi>?"}
    matches = pl.DataFrame([{name: match.get(name) for name in MATCHES}], schema=MATCHES)
    null = pl.DataFrame([{"id": "null", "kind": "rejected", "reason": "null"}])
    refused = pl.concat([REJECTED.to_frame(), null], how="diagonal")
    for shard, found in zip(shards, ([], [matches]), strict=True):
        run(workspace.match_job(shard), found, lambda rows: Batch(rows, REJECTED.to_frame()))
        run(workspace.instantiate_job(shard), found, lambda _: Batch(PAIRS.to_frame(), refused))
        run(workspace.judge_job(shard), [], lambda rows: Batch(rows, REJECTED.to_frame()))
    assert export_labels(workspace.scope, str(tmp_path)) == {"genericizer.jsonl": 1, "instantiator.jsonl": 1}
    (pair,) = (tmp_path / "instantiator.jsonl").read_text().splitlines()
    assert json.loads(pair)["compatible_document_description"] == "d"
    assert not json.loads(pair)["compatible"]


def test_a_label_that_fails_a_gate_never_becomes_an_example() -> None:
    """An answer with too much of its own, one about nothing in the document, and an instruction of another template."""
    good = ("What about purring?", f"<excerpt>{QUOTED}</excerpt>")
    bad = [
        ("What about purring?", f"This is a long remark of the teacher's own, and then: <excerpt>{QUOTED}</excerpt>"),
        ("What about purring?", "<excerpt>They bark.</excerpt>"),
        ("Tell me of purring.", f"<excerpt>{QUOTED}</excerpt>"),
    ]
    rows = [
        {
            "pair_id": str(number),
            "document_id": "cats",
            "document": TEXT,
            "template": "What about <fi>a thing</fi>?",
            "compatible": True,
            "instruction": instruction,
            "answer": answer,
            "reason": None,
        }
        for number, (instruction, answer) in enumerate([good, *bad])
    ]
    taught = teach_instantiator(pl.DataFrame(rows), InstantiatorSettings(engine="tiny", prompt="bare"))
    assert taught.labels["pair_id"].to_list() == [example.id for example in taught.examples] == ["0"]
    assert dict(taught.rejected.select("id", "reason").iter_rows()) == {
        "1": "excerpt_share_low",
        "2": "anchor_missing",
        "3": "instruction_not_from_template",
    }


def _with_bank() -> Workspace:
    """A store with a bank, its templates where a bank has them, and no documents yet."""
    workspace, _ = small_corpus.recorded(0)
    store, version = workspace.store, workspace.bank.version
    for name in small_store.part_files(store, f"bank/{version}"):
        store.write(f"{templates_folder(version)}/{name.rpartition('/')[2]}", store.read(name))
    return workspace
