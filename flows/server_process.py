"""A Prefect server, mended where it and SQLite get in each other's way.

`python -m flows.server_process MODULE ...` runs `prefect server start` or, for a temporary one, `uvicorn` as always.
Two mends, for Prefect 3.7; PostgreSQL needs neither:

- A statement that is garbage waits until its connection is idle. Collected on the event loop, it halts the server
  while that connection waits for a lock whose holder waits for the event loop: a minute each time, until SQLite gives
  up. Here a thread of its own collects, and waits if it must.
- A transaction that reads and then writes fails at once with "database is locked" if another has written in between,
  and no timeout helps. Here transactions take the lock when they begin, and wait for it.
"""

import gc
import runpy
import sys
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

EVERY = 5.0
"""Seconds between two collections."""


def _collect() -> None:
    while True:
        time.sleep(EVERY)
        gc.collect()


def _lock_at_the_beginning() -> None:
    begin = AioSqliteConfiguration.begin_transaction

    @asynccontextmanager
    async def begin_immediate(
        self: AioSqliteConfiguration, session: AsyncSession, with_for_update: bool = True
    ) -> AsyncGenerator[AsyncSessionTransaction, None]:
        async with begin(self, session, with_for_update=True) as transaction:
            yield transaction

    AioSqliteConfiguration.begin_transaction = begin_immediate  # type: ignore[method-assign]


if __name__ == "__main__":
    gc.disable()
    threading.Thread(target=_collect, daemon=True).start()
    _lock_at_the_beginning()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
