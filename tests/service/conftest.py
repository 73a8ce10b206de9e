"""The real service: server, workers and runs in processes of their own, models that are asked over HTTP."""

from collections.abc import Iterator

import pytest

from tests.service.operating import Operator, operating


@pytest.fixture(scope="session")
def operator(tmp_path_factory: pytest.TempPathFactory, server: str) -> Iterator[Operator]:
    """One service for all tests of the session that leave it as it is."""
    with operating(tmp_path_factory.mktemp("operator"), server) as operator:
        yield operator
