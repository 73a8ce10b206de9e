"""Writing a settled draft as a release: data files, rejected rows, card, report; everything but `release.json`.

Until that record is written the folder counts for nothing: data files that an attempt killed in here left are removed
where the next one does not write them anew.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl

from tasks.card import render_card
from tasks.draft import Draft
from tasks.funnel import StageTotals, Step, funnel
from tasks.records import Receipt
from tasks.released import Release, ReleaseFile
from tasks.report import Sample, render_report
from tasks.settings import Profile
from tasks.storage import Store
from tasks.tables import RELEASE
from tasks.trail import JudgedShard, follow_bank, sources_of
from tasks.workspace import Workspace

_DOCUMENT_STEPS: tuple[Step, ...] = ("ingest documents", "match", "instantiate", "judge")


@dataclass(frozen=True)
class Result:
    """What only the publishing itself knows about a release."""

    name: str
    key: str
    files: tuple[ReleaseFile, ...]
    missing: tuple[str, ...]
    seconds: float


def write_data(store: Store, folder: str, draft: Draft, shard_rows: int) -> tuple[ReleaseFile, ...]:
    """Write the data files and the rejected rows of a settled draft; other data files in the folder are removed."""
    total = max(1, -(-draft.rows // shard_rows))
    files = []
    for number, frame in enumerate(draft.files(shard_rows)):
        name = f"data/train-{number:05d}-of-{total:05d}.parquet"
        digest = store.write_frame(f"{folder}/{name}", frame)
        files.append(ReleaseFile(name=name, rows=len(frame), digest=digest))
    for leftover in set(store.find(f"{folder}/data")) - {f"{folder}/{file.name}" for file in files}:
        store.delete(leftover)
    store.write_frame(f"{folder}/rejected.parquet", draft.rejected)
    return tuple(files)


def describe(workspace: Workspace, draft: Draft, shards: list[JudgedShard], result: Result) -> Release:
    """The record of a settled draft."""
    profile, bank = workspace.profile, workspace.bank
    origin = follow_bank(workspace.store, bank.version)
    receipts: dict[Step, list[Receipt]] = {step: [shard.receipts[step] for shard in shards] for step in _DOCUMENT_STEPS}
    own = StageTotals(step="release", shards=1, counts=draft.counts, rows=draft.rows, seconds=round(result.seconds, 3))
    return Release(
        name=result.name,
        key=result.key,
        corpus=workspace.scope.corpus,
        counts=draft.counts,
        rows=draft.rows,
        tokens=draft.tokens,
        documents=draft.documents,
        document_tokens=draft.document_tokens,
        files=result.files,
        shards=len(shards),
        missing=result.missing,
        funnel=(*funnel({**origin.receipts, **receipts}), own),
        sources=(*sources_of("documents", (shard.shard for shard in shards)), *origin.sources),
        bank=bank.version,
        models={
            "genericizer": bank.genericizer,
            "embedder": bank.embedder,
            **{role: name for role in ("instantiator", "passages", "judge") if (name := workspace.identity(role))},
        },
        prompts=_prompts((*origin.receipts.values(), *receipts.values())),
        settings=_deciding(profile, workspace.tokenizer),
        moderation=_moderator(origin.receipts.get("select", [])),
        against=profile.release.against,
    )


def write_pages(store: Store, release: Release, draft: Draft, shards: list[JudgedShard]) -> None:
    """Write the card and the report."""
    store.write(f"{release.folder}/README.md", render_card(release, draft.figures).encode())
    page = render_report(release, draft.figures, _samples(draft, shards))
    store.write(f"{release.folder}/report.html", page.encode())


def _samples(draft: Draft, shards: list[JudgedShard]) -> list[Sample]:
    """The drawn pairs with their documents, read once more from the shards they are of."""
    samples = []
    for number, pairs in draft.sampled().items():
        documents = shards[number].read("ingest documents", ["document_id", "text"])
        wanted = documents.filter(pl.col("document_id").is_in(pairs["document_id"].to_list()))
        texts = dict(wanted.iter_rows())
        samples += [
            Sample(pair, texts[pair["document_id"]]) for pair in pairs.select(list(RELEASE)).iter_rows(named=True)
        ]
    return samples


def _prompts(receipts: Iterable[Iterable[Receipt]]) -> dict[str, str]:
    """Role to digest of the prompt, of every stage that asked one model."""
    asked = (receipt for group in receipts for receipt in group if receipt.prompt_digest)
    return {role: receipt.prompt_digest for receipt in asked for role in receipt.models if role != "passages"}


def _moderator(selections: Iterable[Receipt]) -> str:
    """What the queries of the bank went by, whatever the settings say now."""
    return ", ".join(sorted({receipt.models["moderator"] for receipt in selections})) or "off"


def _deciding(profile: Profile, tokenizer: str) -> dict[str, Any]:
    """Every setting that decides the result; addresses and names of keys stay out of what is published."""
    stages = ("embedder", "genericizer", "instantiator", "judge", "index", "match", "release")
    queries = profile.queries.model_dump(mode="json", exclude={"sources": True, "moderation": {"url", "api_key_env"}})
    return {
        "tokenizer": tokenizer,
        "queries": queries,
        "documents": profile.documents.model_dump(mode="json", exclude={"sources"}),
        "engines": {name: engine.fingerprint() for name, engine in profile.engines.items()},
        **{stage: getattr(profile, stage).fingerprint() for stage in stages},
    }
