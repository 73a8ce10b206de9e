"""The held-out split."""

from models.training.split import held_out


def test_about_the_wanted_share_is_held_out_and_another_seed_draws_others() -> None:
    """Over many ids."""
    ids = [f"document-{number}" for number in range(4000)]
    first = {id for id in ids if held_out(id)}
    assert 0.13 < len(first) / len(ids) < 0.17
    assert first != {id for id in ids if held_out(id, seed=1)}
    assert first <= {id for id in ids if held_out(id, share=0.3)}
    assert not any(held_out(id, share=0) for id in ids)
