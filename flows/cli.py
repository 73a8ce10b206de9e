"""The command `fineinstructions`: one verb per stage, and what an operator needs around them.

Exit codes: 0 all went well, 1 a command that works leaves files or shards that failed or are in quarantine,
2 bad usage or settings, 130 interrupted.
The commands are in `flows.cli_*`. Everything heavy is imported inside them, so that `--help` answers at once.
"""

import os
import sys
import warnings

import typer

from flows import cli_look, cli_models, cli_run, cli_service, interruption

INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Real user queries and documents in, grounded instruction-answer pairs out.",
)
for part in (cli_run, cli_look, cli_models, cli_service):
    app.add_typer(part.app)

QUIET = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    "TQDM_DISABLE": "1",
}
"""Environment for a terminal that shows our own progress and nobody else's; what the user has set stays."""


def main() -> None:
    """Entry point: a quiet terminal, and errors as one clear line."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", category=FutureWarning, module="vllm")
    warnings.filterwarnings("ignore", category=UserWarning, module="peft")
    # Told to end, by a scheduler say, a command ends as after Ctrl-C, and its temporary server with it.
    interruption.listen()
    from models.errors import FineInstructionsError, UsageError

    try:
        app()
    except UsageError as error:
        sys.stderr.write(f"fineinstructions: {error}\n")
        sys.exit(2)
    except FineInstructionsError as error:
        sys.stderr.write(f"fineinstructions: {error}\n")
        sys.exit(1)
    except SystemExit as end:
        # Typer keeps the interruption to itself and ends with this code.
        if end.code == INTERRUPTED:
            sys.stderr.write("\nfineinstructions: interrupted; the same command continues where it stopped\n")
        raise
    except _store_errors() as error:
        sys.stderr.write(
            f"fineinstructions: {error}; the store or a file cannot be used: check its space and rights, then give the "
            "same command again, which continues where it stopped\n"
        )
        sys.exit(1)


def _store_errors() -> tuple[type[Exception], ...]:
    from tasks.storage import driver_errors

    return driver_errors()


if __name__ == "__main__":
    main()
