"""What `show` and `preview` print: everything known of one thing, and a few documents' whole way."""

from collections.abc import Iterable

from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flows.display import dump, out
from tasks.lookup import Trail
from tasks.preview import Outcome, PreviewedDocument, PreviewedMatch


def show_trail(trail: Trail, as_json: bool) -> None:
    """Everything known of one thing, stage by stage."""
    if as_json:
        dump(trail.as_dict())
        return
    out.print(f"[bold]{trail.subject} {escape(trail.id)}[/]", soft_wrap=True)
    for stage, uses in trail.usage.items():
        out.print(f"{uses:,} pairs with it came through {stage}")
    for finding in trail.findings:
        style = "green" if finding.outcome == "kept" else "red"
        title = f"[{style}]{finding.stage}: {finding.outcome}[/]  {finding.shard}  key {finding.key[:8]}"
        made = Table(title=title, title_justify="left", show_header=False, pad_edge=False, box=None)
        made.add_column(style="dim")
        made.add_column(overflow="fold")
        for row in finding.rows:
            for name, value in row.items():
                if value not in (None, [], ""):
                    made.add_row(name, escape(shortened(str(value))))
            made.add_section()
        for role, model in finding.models.items():
            made.add_row(role, model)
        out.print(made)
        if finding.total > len(finding.rows):
            out.print(f"... and {finding.total - len(finding.rows):,} more")


def shortened(text: str, most: int = 1200) -> str:
    """A text cut in the middle when it is long."""
    return (
        text
        if len(text) <= most
        else f"{text[: most // 2]} [... {len(text) - most:,} characters ...] {text[-most // 2 :]}"
    )


def show_previews(documents: Iterable[PreviewedDocument], as_json: bool) -> None:
    """Some documents' whole way: for people one after the other, as each is ready; for machines one list."""
    if as_json:
        dump([document.model_dump(mode="json") for document in documents])
        return
    for document in documents:
        _show_preview(document)


def _show_preview(document: PreviewedDocument) -> None:
    """One document, its templates, and for each of them prompt, raw completion, pair or reason, and verdict."""
    facts = f"{document.token_count:,} tokens, row {document.document_row} of {document.document_url}"
    out.rule(f"[bold]{escape(document.document_id)}[/]  {escape(facts)}", align="left")
    out.print(Text(shortened(document.text, 600), style="dim"))
    if not document.matches:
        out.print(f"[yellow]no template: {document.reason}[/] {escape(document.detail)}")
    for match in document.matches:
        _show_match(match)


def _show_match(match: PreviewedMatch) -> None:
    place = "whole document" if match.chunk == 0 else f"chunk {match.chunk}"
    out.print()
    out.print(f"[bold]template[/]    {escape(match.template)}  [dim](similarity {match.similarity:.3f}, {place})[/]")
    _show_outcome(match.pair, ("instruction", "answer", "excerpt_share"))
    if match.verdict is not None:
        _show_outcome(match.verdict, ("judge_score", "judge_feedback"))


def _show_outcome(outcome: Outcome, columns: tuple[str, ...]) -> None:
    for exchange in outcome.exchanges:
        prompt = "\n".join(f"[{message.role}] {message.content}" for message in exchange.messages)
        out.print(Panel(Text(shortened(prompt), style="dim"), title="prompt", title_align="left"))
        out.print("[bold]completion[/] ", Text(exchange.error or exchange.raw), sep=" ")
    if outcome.row is None:
        out.print(f"[red]{outcome.reason}[/] {escape(outcome.detail)}")
        return
    for column in columns:
        out.print(f"[green]{column:<11}[/] {escape(str(outcome.row[column]))}")
