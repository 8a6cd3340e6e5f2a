"""A few kills on each storage; `python -m tests.kills` does a hundred and more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kills.chain import Chain, Storage


@pytest.mark.parametrize("storage", ["directory", "gs"])
def test_a_run_killed_at_any_moment_shows_nobody_a_partial_result_and_can_be_finished(
    storage: Storage, tmp_path: Path
) -> None:
    kills = Chain(tmp_path, storage, "a few").run(2)
    assert len(kills) >= 2
