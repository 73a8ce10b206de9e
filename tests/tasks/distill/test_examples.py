"""Which labels are learned from: limited, chosen and never twice."""

import polars as pl
import pytest

from models.engine import Message
from models.settings import InstantiatorSettings
from models.training.examples import Example
from tasks.distill.examples import Taught, choose, kind_of, limit_nulls, teach_instantiator
from tasks.tables import PAIR_LABELS, REJECTED


def example(asked: str, group: str = "g", completion: str = "null") -> Example:
    return Example("e", group, (Message("user", asked),), completion)


def taught(groups: dict[str, str], compatible: bool = True) -> Taught:
    """A label for each name, with what its group of examples is asked."""
    labels = pl.DataFrame({"pair_id": list(groups), "compatible": [compatible] * len(groups)})
    return Taught(labels, tuple(example(asked, name[0]) for name, asked in groups.items()), REJECTED.to_frame())


def test_kinds_differ_by_length_slots_and_topic() -> None:
    assert kind_of(example("who keeps <fi>an animal</fi>?")) == "5 1 other"
    assert kind_of(example("who keeps <fi>an animal</fi>?" * 9)) == "9 4 other"
    assert kind_of(example("solve the equation", completion="<fi>a</fi> <fi>b</fi>")) == "5 2 mathematics"
    assert kind_of(example("a function in python")) == "5 0 code"


@pytest.mark.parametrize(("share", "nulls"), [(0, 0), (0.25, 2), (0.5, 6), (0.9, 9)])
def test_nulls_are_at_most_a_share_and_pairs_are_all_kept(share: float, nulls: int) -> None:
    """The same draw every time, of which a smaller share has a part."""
    fit, rest = taught(dict.fromkeys("abcdef", "?")), taught(dict.fromkeys("123456789", "?"), compatible=False)
    both = Taught(pl.concat([fit.labels, rest.labels]), fit.examples + rest.examples, fit.rejected)
    limited = limit_nulls(both, share)
    kept = limited.labels["pair_id"].to_list()
    assert kept[:6] == list("abcdef")
    assert len(kept) - 6 == nulls
    assert [one.group for one in limited.examples] == kept
    assert set(kept) <= set(limit_nulls(both, (share + 1) / 2).labels["pair_id"])


def test_every_kind_is_chosen_from_and_no_group_goes_apart() -> None:
    common = {f"{name}{number}": "plain words" for name in "abcdefgh" for number in range(2)}
    rare = {"x": "solve the equation", "y": "a function in python"}
    chosen = choose(taught(common | rare), most=6).labels["pair_id"].to_list()
    assert {"x", "y"} < set(chosen)
    assert len(chosen) == 6
    groups = [name[0] for name in chosen if name not in rare]
    assert all(groups.count(name) == 2 for name in groups)
    assert chosen == choose(taught(common | rare), most=6).labels["pair_id"].to_list()
    assert chosen != choose(taught(common | rare), most=6, seed=1).labels["pair_id"].to_list()


def test_a_pair_is_learned_once_and_its_second_label_is_counted() -> None:
    rows = [("p", "d", "Bees make honey out of nectar.", "what of <fi>a thing</fi>?", False, None, None, "none")] * 2
    found = teach_instantiator(
        pl.DataFrame(rows, PAIR_LABELS, orient="row"), InstantiatorSettings(engine="tiny", prompt="bare")
    )
    assert len(found.labels) == len(found.examples) == 1
    assert found.rejected.select("id", "reason").rows() == [("p", "repeated")]
