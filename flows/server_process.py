"""Prefect's own command in a process that collects its garbage beside its event loop: `python -m flows.server_process`.

A statement of SQLite that is collected waits until its connection is idle. Collected on the event loop, it halts the
server while that connection waits for a lock whose holder waits for the event loop: a minute each time, until SQLite
gives up. Here a thread of its own collects, and waits if it must.
"""

import gc
import runpy
import threading
import time

EVERY = 5.0
"""Seconds between two collections."""


def _collect() -> None:
    while True:
        time.sleep(EVERY)
        gc.collect()


if __name__ == "__main__":
    gc.disable()
    threading.Thread(target=_collect, daemon=True).start()
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)
