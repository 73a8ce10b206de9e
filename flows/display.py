"""What the commands show: tables for people, JSON for machines; all on standard output."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tasks.calibrate import Calibration
from tasks.distill.model_card import Trained
from tasks.doctor import Check
from tasks.forecast import Forecast
from tasks.funnel import UNITS, StageTotals
from tasks.overview import Overview
from tasks.plan import SHARD_STAGES
from tasks.records import Bank, Tokens
from tasks.release import Release

out = Console(highlight=False)
STYLES = {"done": "green", "pending": "yellow", "waiting": "dim", "failed": "red", "quarantined": "bold red"}
MANY = 40
"""Shards above which only those that need attention are listed one by one."""


def dump(value: Any) -> None:
    """Print JSON, indented, as it is."""
    out.print_json(json.dumps(value, ensure_ascii=False, default=str), highlight=False)


def table(title: str, *columns: str) -> Table:
    """A table in the house's form; columns whose name starts with `>` are numbers: aligned right, never wrapped."""
    made = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        number = column.startswith(">")
        made.add_column(column.lstrip(">"), justify="right" if number else "left", no_wrap=number, overflow="fold")
    return made


def show_funnel(funnel: Iterable[StageTotals], as_json: bool) -> None:
    """The stage table: rows in, kept, rejected by reason, seconds, tokens."""
    if as_json:
        dump([totals.model_dump(mode="json") for totals in funnel])
        return
    made = table("What every stage made of its input", "stage", ">in", ">out", "lost and why", ">s", ">tokens")
    for totals in funnel:
        rows_in, rows_out = UNITS[totals.step]
        kept = f"{totals.rows:,} {rows_out}"
        if totals.counts.rows_out != totals.rows:
            kept = f"{totals.counts.rows_out:,} with\n{kept}"
        made.add_row(
            totals.step,
            f"{totals.counts.rows_in:,} {rows_in}",
            kept,
            "\n".join(f"{number:,} {reason}" for _, reason, number in totals.reasons),
            f"{totals.seconds:,.0f}",
            _tokens(totals.tokens),
        )
    out.print(made)


def _tokens(tokens: Tokens) -> str:
    """Tokens of one stage, a line for each kind there is."""
    kinds = {"in": tokens.prompt, "cached": tokens.cached, "out": tokens.output}
    return "\n".join(f"{number:,} {kind}" for kind, number in kinds.items() if number)


def show_release(release: Release, pairs: list[tuple[dict[str, Any], str]], store: str, as_json: bool) -> None:
    """The funnel, a few pairs with their source, and where the release lies."""
    place = f"{store.rstrip('/')}/{release.folder}"
    if as_json:
        dump({"release": release.model_dump(mode="json"), "url": place, "examples": [pair for pair, _ in pairs]})
        return
    show_funnel(release.funnel, as_json)
    for pair, document in pairs:
        out.print(pair_panel(pair, document))
    share = release.tokens / release.document_tokens if release.document_tokens else 0
    out.print(
        f"{release.rows:,} pairs, {release.tokens:,} tokens: {share:.0%} of the documents' {release.document_tokens:,}."
    )
    if not release.rows:
        out.print("[yellow]No pair came through; the table above says where they were lost.[/]")
    out.print(f"Release  {escape(place)}", soft_wrap=True)
    out.print(f"Report   {escape(place)}/report.html", soft_wrap=True)


def pair_panel(pair: Mapping[str, Any], document: str) -> Panel:
    """One released pair with the excerpts marked inside the passage of the document around them."""
    facts = (
        f"score {pair['judge_score']}, excerpt share {pair['excerpt_share']:.2f}, similarity {pair['similarity']:.2f}"
    )
    return Panel(
        Group(
            Text("Instruction  ", style="bold").append(pair["instruction"], style="not bold"),
            Text("Answer       ", style="bold").append(pair["answer"], style="not bold"),
            Text("Source       ", style="bold").append_text(marked(document, pair["excerpts"])),
            Text(f"Template     {pair['template']}", style="dim"),
        ),
        title=f"{escape(pair['document_id'])}: {facts}",
        title_align="left",
        subtitle=f"fineinstructions show {pair['pair_id']}",
        subtitle_align="right",
    )


def marked(document: str, excerpts: Iterable[Mapping[str, int]], margin: int = 120, longest: int = 400) -> Text:
    """The excerpts (code point offsets) highlighted, each with what is around it.

    What lies between two of them is left out where it is long, and so is the middle of an excerpt over `longest`.
    """
    spans = sorted((span["document_start"], span["document_end"]) for span in excerpts)
    passage = Text()
    shown = 0
    for number, (start, end) in enumerate(spans):
        before = max(start - margin, shown)
        passage.append(" ... " if before > shown else "").append(document[before:start])
        quote = document[start:end]
        if len(quote) > longest:
            quote = f"{quote[: longest // 2]} ... {quote[-longest // 2 :]}"
        following = spans[number + 1][0] if number + 1 < len(spans) else len(document)
        shown = min(end + margin, following)
        passage.append(quote, style="black on yellow").append(document[end:shown])
    return passage.append(" ..." if spans and shown < len(document) else "")


def show_bank(bank: Bank, as_json: bool) -> None:
    """A version of the template bank."""
    if as_json:
        dump(bank.model_dump(mode="json"))
        return
    made = table(f"Template bank {bank.version}", "slots", ">templates", ">in the reference")
    for slots, number in sorted(bank.complexity.items()):
        made.add_row(str(slots), f"{number:,}", f"{bank.reference_complexity.get(slots, 0):,}")
    out.print(made)
    out.print(f"{bank.templates:,} templates, {bank.embedder}, recall@10 {bank.recall_at_10:.3f}")


def show_forecast(found: Forecast, as_json: bool) -> None:
    """Files to read, and what every stage would have to do."""
    if as_json:
        dump(found.as_dict())
        return
    for kind, files in (("queries", found.queries), ("documents", found.documents)):
        if files:
            out.print(f"{len(files):,} new or changed files of {kind} would be read; their rows are not counted below")
    documents = sum(shard.rows for shard in found.shards)
    out.print(
        f"{len(found.shards):,} shards, {documents:,} documents, {found.document_tokens:,} tokens are read already"
    )
    if not found.stages:
        return
    made = table("What a run would do with them", "stage", ">shards", ">rows", ">tokens", ">time")
    for stage in found.stages:
        cost = ("no rate yet", "no rate yet")
        if stage.seconds is not None:
            cost = (f"{stage.tokens or 0:,}", duration(stage.seconds))
        made.add_row(stage.stage, f"{stage.shards:,}", f"{stage.rows:,}", *cost)
    out.print(made)


def duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def show_overview(seen: Overview, as_json: bool) -> None:
    """Shards x stages, the funnel, and the latest failures."""
    if as_json:
        dump(seen.as_dict())
        return
    board = seen.board
    totals = table("Shards by state", "stage", *(f">{state}" for state in STYLES))
    for stage in SHARD_STAGES:
        tally = board.tally(stage)
        totals.add_row(stage, *(f"[{STYLES[state]}]{tally[state]:,}[/]" for state in STYLES))  # type: ignore[index]
    out.print(totals)
    bad = {failure.shard for failure in seen.failures}
    shown = [shard for shard in board.shards if len(board.shards) <= MANY or shard.name in bad]
    if shown:
        listing = table("Shards", "shard", ">documents", *SHARD_STAGES)
        for shard in shown:
            states = [board.states[stage][shard.name] for stage in SHARD_STAGES]
            listing.add_row(shard.name, f"{shard.rows:,}", *(f"[{STYLES[state]}]{state}[/]" for state in states))
        out.print(listing)
    show_funnel(seen.funnel, as_json)
    for failure in seen.failures:
        out.print(f"[red]{failure.stage} of {failure.shard}[/]: {failure.error}: {escape(failure.message)}")


def show_calibration(found: Calibration, as_json: bool) -> None:
    """A threshold and what it would keep."""
    if as_json:
        dump(vars(found))
        return
    out.print(
        f"match.threshold = {found.threshold:.3f}: precision {found.precision:.3f}, recall {found.recall:.3f}, "
        f"{found.kept:,} labelled pairs kept; AUC {found.auc:.3f}"
    )


def show_labels(rows: Mapping[str, int], folder: str, as_json: bool) -> None:
    """Files of labels that were written."""
    if as_json:
        dump({"folder": folder, "rows": rows})
        return
    for name, number in rows.items():
        out.print(f"{number:>8,} labels  {escape(folder.rstrip('/'))}/{name}", soft_wrap=True)


def show_trained(trained: Iterable[Trained], as_json: bool) -> None:
    """Adapters with their figures, base beside tuned, and where they lie."""
    if as_json:
        dump([{**vars(made), "adapter": str(made.adapter)} for made in trained])
        return
    for made in trained:
        shown = table(made.adapter.parent.name, "on held-out labels", ">base", ">tuned")
        for row in made.rows():
            shown.add_row(row["measure"], row["base"], row["tuned"])
        out.print(shown)
        out.print(f"Adapter  {escape(str(made.adapter))}", soft_wrap=True)
        out.print(f"Card     {escape(str(made.adapter / 'README.md'))}", soft_wrap=True)


def show_checks(checks: Iterable[Check], as_json: bool) -> bool:
    """One line a check, as soon as it is made; returns whether all are well."""
    done: list[Check] = []
    for check in checks:
        done.append(check)
        if not as_json:
            out.print(_check_line(check))
    if as_json:
        dump([vars(check) for check in done])
    return all(check.ok for check in done)


def _check_line(check: Check) -> Table:
    """State, name and finding in columns of their own, whatever their lengths."""
    line = Table.grid(padding=(0, 1, 0, 0))
    for width in (4, 24, None):
        line.add_column(width=width, overflow="fold")
    line.add_row(Text("ok", "green") if check.ok else Text("fail", "red"), check.name, Text(check.found))
    if not check.ok:
        line.add_row("", "", Text(check.advice, "yellow"))
    return line
