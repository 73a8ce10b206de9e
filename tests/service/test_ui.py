"""Prefect's UI in a real browser: a shard fails, the operator follows the link, submits the form and sees it done.

Screenshots of every step lie in the folder that FINEINSTRUCTIONS_SCREENSHOTS names, for people to look at.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import FlowRun

from tasks.records import Shard
from tests.service.operating import Operator, wait_until
from tests.service.piles import Pile, harm, read_in

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra `browser`")
CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.service,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
]

FILLED_IN = "name => [...document.querySelectorAll('input, textarea')].some(field => field.value.includes(name))"

Shoot = Callable[[str], None]


@dataclass(frozen=True)
class Poisoned:
    """A corpus one of whose shards failed, for a reason that is gone."""

    name: str
    run: FlowRun
    shard: Shard


@pytest.fixture
def poisoned(operator: Operator) -> Poisoned:
    """Made before the browser starts, under whose event loop Prefect's client would not wait."""
    pile = Pile(operator, "clicked")
    pile.write("good", 0, 2)
    pile.write("bad", 2, 4)
    _, shards = read_in(pile)
    (poison,) = (shard for shard in shards if shard.name.startswith("bad"))
    mend = harm(pile, poison)
    failed = pile.ingest("Failed")
    mend()
    return Poisoned(pile.name, failed, poison)


@pytest.fixture
def page() -> Iterator[Any]:
    """A page of a headless browser."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1600})
        page.set_default_timeout(30_000)
        yield page
        browser.close()


@pytest.fixture
def shoot(page: Any, tmp_path: Path) -> Shoot:
    """Takes a screenshot under a name, once the page is quiet."""
    folder = Path(os.environ.get("FINEINSTRUCTIONS_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)

    def take(name: str) -> None:
        page.wait_for_load_state("networkidle")
        page.screenshot(path=folder / f"{name}.png", full_page=True)

    return take


def test_a_failed_shard_is_done_again_by_clicks(
    operator: Operator, poisoned: Poisoned, page: Any, shoot: Shoot
) -> None:
    """From the list of failed shards to the form, which opens filled in, to the run and its artifacts."""
    ui, shard = operator.api.removesuffix("/api"), poisoned.shard.name
    page.goto(f"{ui}/runs/flow-run/{poisoned.run.id}")
    page.get_by_text("Failed").first.wait_for()
    shoot("1-failed-run")
    open_artifact(page, f"{ui}/artifacts/key/failed-clicked")
    link = page.get_by_role("link", name="do again", exact=True)
    link.wait_for()
    shoot("2-failed-shards")
    page.goto(link.get_attribute("href"))
    page.wait_for_function(FILLED_IN, arg=shard)
    shoot("3-form")
    page.get_by_role("button", name="Submit").click()

    again = newest(operator, "rerun-clicked")
    page.goto(f"{ui}/runs/flow-run/{again['id']}")
    page.get_by_text("Completed", exact=True).first.wait_for(timeout=120_000)
    shoot("4-run")
    assert again["parameters"]["shards"] == [shard]
    assert operator.wait(again["id"])["state_type"] == "COMPLETED"
    for number, artifact in enumerate(("shards", "failed", "summary"), start=5):
        open_artifact(page, f"{ui}/artifacts/key/{artifact}-clicked")
        shoot(f"{number}-{artifact}")
    assert operator.artifact("failed-clicked") == "No shard has failed."


def open_artifact(page: Any, history: str) -> None:
    """The newest artifact of a key, from the page of its history."""
    page.goto(history)
    page.locator("a[href*='/artifacts/artifact/']").first.click()
    page.wait_for_url("**/artifacts/artifact/**")


def newest(operator: Operator, name: str) -> dict[str, Any]:
    """The newest run of a name, once there is one."""
    wanted = {"flow_runs": {"name": {"any_": [name]}}, "sort": "EXPECTED_START_TIME_DESC"}
    wait_until(lambda: operator.ask("flow_runs", wanted))
    return operator.ask("flow_runs", wanted)[0]
