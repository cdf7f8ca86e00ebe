"""A check in shards finds what one check finds: the same frames, figures and differences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from arbonn.errors import InputError
from arbonn.flows import sharded, stages
from arbonn.flows.explore.jobs import Here
from arbonn.flows.frames import frames_for
from arbonn.flows.options import CheckOptions, Common
from arbonn.flows.results import CheckResult
from arbonn.flows.sharded import check_on_cluster, merged
from arbonn.hw import graph_file
from tests.flows.explore.cluster import cluster
from tests.tiny import tiny_graph, tiny_images

FRAMES = 5


@pytest.fixture
def build(tmp_path: Path) -> Path:
    graph = tiny_graph(8, 4)
    graph_file.save(graph, tmp_path / "build")
    np.save(tmp_path / "images.npy", np.moveaxis(tiny_images(graph, FRAMES), -1, 1))
    return tmp_path / "build"


def options(build: Path) -> CheckOptions:
    return CheckOptions(build.parent / "images.npy", stalls=(0.0, 0.3), second_frames=0, engine="amaranth")


@contextmanager
def here(count: int, address: str | None) -> Iterator[Here]:
    yield Here()


def same(whole: CheckResult, shards: CheckResult, count: int) -> None:
    """Transfers are counted to the last one; a shard's run ends after its own frames."""
    for name in ("frames", "transfers", "bit_mismatches", "cycle_mismatches", "violations", "first_difference", "waves"):
        assert getattr(shards, name) == getattr(whole, name), name
    for name in ("first_out_cycles", "latency_cycles", "interval_cycles"):
        for kind in (name, f"predicted_{name}"):
            assert getattr(shards, kind) == getattr(whole, kind), kind
    assert [share.frames for share in shards.simulators] == [share.frames for share in whole.simulators]
    assert len(shards.stall_patterns) == count * len(whole.stall_patterns)
    assert len({(p["probability"], p["seed"]) for p in shards.stall_patterns}) == len(shards.stall_patterns)  # each shard its own


def test_shards_together_are_the_whole(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharded, "jobs", here)
    found = check_on_cluster(build, options(build), "", shards=2)
    whole = stages.check(build, options(build))
    assert whole.first_difference is None
    same(whole, found, 2)
    assert found.frames_source == f"images.npy, {FRAMES} images; 2 shards, each from reset"
    assert check_on_cluster(build, options(build), "", shards=2).cached


def test_more_shards_than_frames_are_as_many_as_frames(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharded, "jobs", here)
    found = check_on_cluster(build, options(build), "", shards=100)
    assert found.frames == FRAMES
    assert found.frames_source.endswith(f"{FRAMES} shards, each from reset")


def test_the_lowest_frames_that_differ_are_told(build: Path) -> None:
    good = stages.check(build, options(build))
    bad = good.model_copy(update={"bit_mismatches": 3, "first_difference": "amaranth, stall 0: label, transfer 2: 1, not 0"})
    frames = frames_for(graph_file.load(build), build, options(build).images, None)
    found = merged([good, bad, bad], [0, 7, 14], frames)
    assert found.bit_mismatches == 6
    assert found.first_difference == ("frames from 7 on, amaranth, stall 0: label, transfer 2: 1, not 0; waves stay in the worker's store")


def test_a_scheduler_without_workers_is_told(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def nobody(count: int, address: str | None) -> Iterator[Here]:
        jobs = Here()
        jobs.slots = 0
        yield jobs

    monkeypatch.setattr(sharded, "jobs", nobody)
    monkeypatch.setattr(sharded, "PATIENCE", 0.0)
    with pytest.raises(InputError) as error:
        check_on_cluster(build, options(build), "tcp://somewhere:8786")
    assert str(error.value) == (
        "InputError: --cluster: the scheduler at tcp://somewhere:8786 had no worker for 0 s\n  allowed  at least one worker"
    )


@pytest.mark.slow
def test_two_workers_find_what_one_process_finds(build: Path, tmp_path: Path) -> None:
    with cluster(tmp_path, workers=2) as address:
        found = check_on_cluster(build, options(build), address, Common(), shards=2)
    same(stages.check(build, options(build)), found, 2)
