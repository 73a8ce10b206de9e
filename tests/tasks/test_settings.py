"""Profiles are checked before anything starts, and say what is wrong."""

import uuid
from pathlib import Path

import pytest

from models.errors import UsageError
from tasks.settings import BUILT_IN, load_profile
from tests.conftest import without_credentials


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_profiles_are_valid(name: str) -> None:
    """Every shipped profile loads."""
    assert load_profile(name).description


def test_the_paper_profile_has_the_papers_numbers() -> None:
    """K, sigma, alpha, threshold, templates per document, excerpt share, score (paper 3.2-4.2)."""
    paper = load_profile("paper")
    assert (paper.embedder.chunks, paper.embedder.sigma, paper.embedder.alpha) == (5, 0.05, 1.0)
    assert (paper.match.threshold, paper.match.templates_per_document) == (0.865, 6)
    assert (paper.instantiator.min_excerpt_share, paper.release.min_score) == (0.80, 4)


def test_a_profile_extends_another(tmp_path: Path) -> None:
    """`base` first, then the file's own values, table by table."""
    mine = tmp_path / "mine.toml"
    mine.write_text('base = "tiny"\n[match]\nthreshold = 0.5\n')
    profile = load_profile(str(mine))
    assert profile.match.threshold == 0.5
    assert profile.match.candidates == load_profile("tiny").match.candidates


def test_an_engine_of_another_kind_replaces_the_old_one(tmp_path: Path) -> None:
    """Keys of a vLLM engine do not leak into a server's."""
    mine = tmp_path / "mine.toml"
    mine.write_text('base = "tiny"\n[engines.smollm2]\nkind = "server"\nurl = "http://x/v1"\nmodel = "m"\n')
    assert load_profile(str(mine)).engines["smollm2"].kind == "server"


def test_overrides_reach_single_settings() -> None:
    """Numbers, strings and lists; plain text needs no quotes."""
    overrides = ("match.threshold=0.3", "instantiator.layout=paper", 'queries.languages=["en", "de"]')
    profile = load_profile("tiny", overrides)
    assert profile.match.threshold == 0.3
    assert profile.instantiator.layout == "paper"
    assert profile.queries.languages == ("en", "de")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("match.treshold=0.4", "unknown key 'match.treshold'; did you mean 'threshold'"),
        ("match.threshold=high", "match.threshold: .*found 'high'"),
        ("match.threshold=7", "match.threshold: .*less than or equal to 1"),
        ("threshold", "expected KEY=VALUE"),
        ("judge.engine=none", "judge.engine is 'none', but .engines. has only smollm2"),
        ("engines.smollm2.max_model_length=9", "unknown key 'engines.smollm2.max_model_length'; .*'max_model_len'"),
    ],
)
def test_wrong_settings_are_named(override: str, message: str) -> None:
    """The message names the key, what was found, and the nearest known key."""
    with pytest.raises(UsageError, match=message):
        load_profile("tiny", (override,))


def test_an_engine_named_like_its_kind_keeps_its_name() -> None:
    """In the message, as it is written in the profile."""
    with pytest.raises(UsageError, match=r"unknown key 'engines\.server\.urll'; did you mean 'url'"):
        load_profile("server", ("engines.server.urll=http://x",))


def test_an_unknown_profile_names_the_known_ones() -> None:
    """A typo in the profile's name."""
    with pytest.raises(UsageError, match=r"'tinny' cannot be read.*tiny, paper, server"):
        load_profile("tinny")


def test_a_profile_in_a_bucket_without_credentials_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver's own errors are no `OSError`."""
    without_credentials(monkeypatch)
    with pytest.raises(UsageError, match="cannot be read: Unable to locate credentials"):
        load_profile(f"s3://bucket-{uuid.uuid4().hex}/mine.toml")


def test_a_profile_that_extends_itself_is_refused(tmp_path: Path) -> None:
    """No endless recursion."""
    path = tmp_path / "loop.toml"
    path.write_text(f'base = "{path}"\n')
    with pytest.raises(UsageError, match="extends itself"):
        load_profile(str(path))
