"""The temporary server of a command is the mended one, or runs on SQLite stand still now and then."""

import psutil
import pytest
from prefect.settings import PREFECT_API_URL

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]


def test_a_temporary_server_runs_in_the_mended_process() -> None:
    """The one that Prefect asks, not one beside it."""
    port = int(str(PREFECT_API_URL.value()).removesuffix("/api").rpartition(":")[2])
    (server,) = [
        child
        for child in psutil.Process().children()
        if any(connection.laddr.port == port for connection in child.net_connections("tcp") if connection.laddr)
    ]
    assert "flows.server_process" in server.cmdline()
