"""What the commands of the service do: `flows.up`, and what an operator is told of it."""

from pathlib import Path

from flows import up
from flows.bars import err
from flows.display import out, table
from flows.kept import Given


def start(service: up.Service, given: Given, recalled: tuple[str, ...]) -> None:
    """Start what is not up on this machine, and say where to look.

    Args:
        service: What is wanted.
        given: What is to be kept of it for the next time.
        recalled: Names of the options that are those of the last time.
    """
    if recalled:
        err.print(f"as the last time: {', '.join(recalled)}")
    started = up.up(service, given)
    err.print(f"started: {', '.join(started) or 'nothing, it was all up'}")
    shown = table("The service is up", "what", "where")
    shown.add_row("UI: deployments, runs, artifacts", service.url)
    shown.add_row("metrics for Prometheus", service.metrics_url)
    shown.add_row("profile", service.corpus.profile)
    shown.add_row("store", service.corpus.store)
    shown.add_row("documents, looked at on schedule", f"{service.corpus.documents}  ({service.corpus.cron} UTC)")
    shown.add_row("logs", str(service.folder))
    out.print(shown)


def stop(folder: Path) -> None:
    """Stop what was started on this machine."""
    err.print(f"stopped: {', '.join(up.down(folder)) or 'nothing, nothing was up'}")


def deploy(corpus: up.Corpus, planners: int, alerts: str) -> None:
    """Deployments on a server that runs somewhere."""
    up.deploy(corpus.environment, planners, alerts)
    err.print(f"deployed: {up.DEPLOYMENTS.name} for documents {corpus.documents} into store {corpus.store}")
