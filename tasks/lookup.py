"""The trail of one pair, template, document or query: every row that any stage made of it, kept or rejected.

An id may be given whole, or as a beginning of at least six characters that only one id has. Where a document and a
query have the same id, `query:ID` names the kind. A whole id ends the search at the first shard that has it.
Read-only, and without loading a model; results of earlier settings are found too, each under its key.
Not covered: rows of stages that have not finished their shard.
"""

import re
from collections.abc import Iterable
from itertools import islice
from typing import Any, Literal, get_args

import polars as pl
from pydantic import Field

from models.errors import UsageError
from models.settings import Settings
from tasks.catalogue import NONE, Catalogue, Finding, Folder
from tasks.records import Scope, Stage
from tasks.workspace import open_workspace

Subject = Literal["pair", "template", "document", "query"]
SUBJECTS: tuple[Subject, ...] = get_args(Subject)
SHORTEST = 6
"""Characters of the shortest beginning of an id that is searched for."""

EXAMPLES = 5
"""Rows shown of a template's pairs and queries; all are counted."""

_USES: tuple[Stage, ...] = ("match", "instantiate")
_DIGEST = re.compile(r"[0-9a-f]{1,16}")


class Trail(Settings):
    """All that the store knows of one thing, in the order of the stages, older results before newer ones."""

    subject: Subject
    id: str
    findings: tuple[Finding, ...]
    usage: dict[str, int] = Field(
        default_factory=dict, description="Of a template: different pairs with it, by the stage they came through."
    )

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return self.model_dump(mode="json")


def look_up(scope: Scope, identifier: str) -> Trail:
    """Find out everything about an id.

    Args:
        scope: Store and corpus; the profile is only checked.
        identifier: Id of a pair, template, document or query, or its beginning; `document:ID` names the kind.

    Raises:
        UsageError: when nothing has this id, or several things begin with it.
    """
    catalogue = Catalogue(open_workspace(scope))
    subject, found, shard = _resolve(catalogue, scope, identifier)
    match subject:
        case "pair":
            trail = _pair(catalogue, found, shard)
        case "template":
            return _template(catalogue, found)
        case "document":
            trail = _document(catalogue, found, shard)
        case "query":
            trail = _query(catalogue, found, shard)
    return Trail(subject=subject, id=found, findings=tuple(trail))


def _resolve(catalogue: Catalogue, scope: Scope, identifier: str) -> tuple[Subject, str, str]:
    """The kind, the whole id and the shard of what an id or its beginning means."""
    kind, _, rest = identifier.partition(":")
    named = [subject for subject in SUBJECTS if subject == kind and rest]
    wanted = rest if named else identifier
    found: dict[tuple[Subject, str], str] = {}
    searched = 0
    for subject in named or SUBJECTS:
        for folder in _shelf(catalogue, subject, wanted):
            searched += len(folder.tables)
            ids = _ids(folder, subject, wanted)
            if wanted in ids:
                return subject, wanted, folder.shard
            for other in ids if len(wanted) >= SHORTEST else ():
                found.setdefault((subject, other), folder.shard)
    if len(found) == 1:
        ((subject, whole), shard) = found.popitem()
        return subject, whole, shard
    if found:
        some = ", ".join(f"{subject}:{other}" for subject, other in sorted(found)[:5])
        raise UsageError(f"{len(found)} ids begin with {wanted!r} ({some}, ...); give more characters")
    raise UsageError(
        f"no {' or '.join(named or SUBJECTS)} has an id that is {wanted!r} or begins with it "
        f"({searched} tables of corpus {scope.corpus!r} in {scope.store!r} searched); expected a pair_id, template_id, "
        f"document_id or query_id, whole or its first {SHORTEST} or more characters"
    )


def _shelf(catalogue: Catalogue, subject: Subject, wanted: str) -> list[Folder]:
    """Where ids of a kind are made."""
    if subject in ("pair", "template") and not _DIGEST.fullmatch(wanted):
        return []
    match subject:
        case "pair":
            return _of(catalogue.documents, "match")
        case "template":
            return catalogue.banks
        case "document":
            return _of(catalogue.documents, "ingest")
        case "query":
            return _of(catalogue.queries, "ingest")


def _ids(folder: Folder, subject: Subject, wanted: str) -> set[str]:
    """The ids of a kind that are `wanted` or begin with it; of documents and queries also those that were rejected."""
    ids = folder.values(f"{subject}_id", pl.col(f"{subject}_id").str.starts_with(wanted))
    return ids | folder.refused_ids(pl.col("id").str.starts_with(wanted)) if folder.stage == "ingest" else ids


def _of(folders: Iterable[Folder], *stages: Stage, shard: str = "") -> list[Folder]:
    return [folder for folder in folders if folder.stage in stages and shard in ("", folder.shard)]


def _gather(folders: Iterable[Folder], kept: pl.Expr, rejected: pl.Expr = NONE, limit: int = 1000) -> list[Finding]:
    found = [finding for folder in folders for finding in folder.findings(kept, rejected, limit)]
    return sorted(found, key=lambda finding: finding.created)


def _pair(catalogue: Catalogue, pair_id: str, shard: str) -> list[Finding]:
    matches = _gather(_of(catalogue.documents, "match", shard=shard), pl.col("pair_id") == pair_id)
    match = matches[-1].rows[0]
    versions = {key for finding in matches for key in finding.inputs}
    banks = [folder for folder in catalogue.banks if folder.shard in versions]
    document = (pl.col("document_url") == match["document_url"]) & (pl.col("document_row") == match["document_row"])
    return [
        *_sources(catalogue, match["template"]),
        *_gather(banks, pl.col("template_id") == match["template_id"]),
        *_gather(_of(catalogue.documents, "ingest", shard=shard), document),
        *matches,
        *_fates(catalogue, {pair_id}, shard),
    ]


def _template(catalogue: Catalogue, template_id: str) -> Trail:
    wanted = pl.col("template_id") == template_id
    bank = _gather(catalogue.banks, wanted)
    folders = {stage: _of(catalogue.documents, stage) for stage in _USES}
    used = {stage: {pair for folder in folders[stage] for pair in folder.values("pair_id", wanted)} for stage in _USES}
    made = (finding for folder in folders["instantiate"] for finding in folder.findings(wanted, NONE, EXAMPLES))
    return Trail(
        subject="template",
        id=template_id,
        findings=(
            *_sources(catalogue, bank[-1].rows[0]["template"]),
            *bank,
            *islice(made, 1),
            *_gather(catalogue.releases, wanted, limit=EXAMPLES),
        ),
        usage={stage: len(pairs) for stage, pairs in used.items()},
    )


def _document(catalogue: Catalogue, document_id: str, shard: str) -> list[Finding]:
    wanted, refused = pl.col("document_id") == document_id, pl.col("id") == document_id
    matches = _gather(_of(catalogue.documents, "match", shard=shard), wanted, refused)
    pair_ids = {row["pair_id"] for finding in matches if finding.outcome == "kept" for row in finding.rows}
    return [
        *_gather(_of(catalogue.documents, "ingest", shard=shard), wanted, refused),
        *matches,
        *_fates(catalogue, pair_ids, shard),
    ]


def _query(catalogue: Catalogue, query_id: str, shard: str) -> list[Finding]:
    wanted, refused = pl.col("query_id") == query_id, pl.col("id") == query_id
    read = _gather(_of(catalogue.queries, "ingest", shard=shard), wanted, refused)
    urls = {row["url"] for finding in read for row in finding.rows}
    own_file = pl.col("url").is_in(urls)
    return [
        *read,
        *_gather(_of(catalogue.queries, "select"), wanted & own_file, refused & own_file),
        *_gather(_of(catalogue.queries, "mine", shard=shard), wanted & own_file, refused & own_file),
        *_gather(catalogue.banks, pl.col("query_ids").list.contains(query_id)),
    ]


def _sources(catalogue: Catalogue, template: str) -> list[Finding]:
    """The queries that a template was made from."""
    return _gather(_of(catalogue.queries, "mine"), pl.col("template") == template, limit=EXAMPLES)


def _fates(catalogue: Catalogue, pair_ids: set[str], shard: str) -> list[Finding]:
    """What became of matches: pairs, verdicts and releases, or the reasons why not."""
    if not pair_ids:
        return []
    kept, rejected = pl.col("pair_id").is_in(pair_ids), pl.col("id").is_in(pair_ids)
    return [
        *_gather(_of(catalogue.documents, "instantiate", shard=shard), kept, rejected),
        *_gather(_of(catalogue.documents, "judge", shard=shard), kept, rejected),
        *_gather(catalogue.releases, kept, rejected),
    ]
