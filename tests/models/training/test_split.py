"""The split of labels."""

from hypothesis import given
from hypothesis import strategies as st

from models.training.split import held_out


def test_about_the_share_of_ids_is_held_out_and_another_seed_holds_out_others() -> None:
    ids = [f"document-{number}" for number in range(4000)]
    first, second = ({id for id in ids if held_out(id, 0.15, seed)} for seed in (0, 1))
    for part in (first, second):
        assert 0.13 < len(part) / len(ids) < 0.17
    assert len(first & second) < 0.4 * len(first)


@given(st.text(), st.floats(0, 1))
def test_a_larger_share_holds_out_all_that_a_smaller_one_does(id: str, share: float) -> None:
    assert not held_out(id, 0)
    assert held_out(id, 1)
    assert held_out(id, share) <= held_out(id, min(1, share + 0.1))


def test_split_never_moves() -> None:
    assert [id for id in "abcdefghijklmnopqrstuvwxyz" if held_out(id)] == ["h", "y"]
