"""The laws of the content store: one object for one record, whole or absent, whatever is killed, raced, lost or full."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbonn.errors import ArbonnError, InputError, ToolError
from arbonn.flows.store import Store, Work, code_version, default_root, link

WORK = Work("train", {"model": "a1"}, {"lr": 0.1}, {"torch": "2"}, ("errors.py",))

names = st.text("abc", min_size=1, max_size=3)
works = st.builds(
    Work,
    stage=st.sampled_from(["train", "lower"]),
    inputs=st.dictionaries(names, names, max_size=2),
    parameters=st.dictionaries(names, st.integers(0, 2) | st.booleans() | st.none() | names, max_size=2),
    versions=st.dictionaries(names, names | st.none(), max_size=2),
    sources=st.sampled_from([("errors.py",), ("files.py",)]),
)

RACER = """
import sys, time
from pathlib import Path
from arbonn.flows.store import Store, Work
log = Path(sys.argv[2])
def make(folder):
    with log.open("a") as file: file.write("begin ")
    time.sleep(float(sys.argv[3]))
    (folder / "out").write_text("x")
    with log.open("a") as file: file.write("end ")
work = Work("train", {}, {}, {}, ("errors.py",))
path, hit = Store(Path(sys.argv[1])).get(work, make)
print(path.name, (path / "out").read_text())
"""

RESUMER = """
import sys, time
from pathlib import Path
from arbonn.flows.store import Store, Work
def make(folder):
    done = len(list(folder.glob("step*")))
    print("from", done, flush=True)
    for step in range(done, 5):
        (folder / f"step{step}").write_text(str(step))
        if step == 2 and sys.argv[2] == "die":
            print("ready", flush=True)
            time.sleep(60)
work = Work("train", {}, {}, {}, ("errors.py",), resumable=sys.argv[3] == "True")
Store(Path(sys.argv[1])).get(work, make)
"""


def write(text: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / "out").write_text(text)

    return make


@given(first=works, second=works)
def test_one_key_for_one_record(first: Work, second: Work) -> None:
    assert (first.key == second.key) == (first.record() == second.record() and _kinds(first) == _kinds(second))


def _kinds(work: Work) -> dict[str, type]:
    return {name: type(value) for name, value in work.parameters.items()}  # in Python 1 == True; in JSON it is not


@given(stored=st.lists(works, max_size=6))
def test_every_record_is_made_once_and_found_again(stored: list[Work], tmp_path_factory: pytest.TempPathFactory) -> None:
    store, made = Store(tmp_path_factory.mktemp("store")), []
    for work in [*stored, *stored]:

        def make(folder: Path, key: str = work.key) -> None:
            made.append(key)
            (folder / "out").write_text(key)

        path, _ = store.get(work, make)
        assert (path / "out").read_text() == work.key
        assert store.find(work) == path
    assert sorted(made) == sorted({work.key for work in stored})
    assert not list((store.root / "partial").glob("*"))
    assert not list((store.root / "locks").glob("*"))


@pytest.mark.parametrize(
    "change",
    [{"stage": "lower"}, {"inputs": {"model": "a2"}}, {"parameters": {}}, {"versions": {"torch": None}}, {"sources": ("files.py",)}],
)
def test_each_part_of_the_record_decides(change: dict[str, object]) -> None:
    assert replace(WORK, **change).key != WORK.key


def test_code_version_covers_every_folder_and_leaf_module() -> None:
    versions = {
        name: code_version((name,)) for name in ("model", "hw", "sim", "flows", "errors.py", "files.py", "settings.py", "flows/store.py")
    }
    assert len(set(versions.values())) == len(versions)


@pytest.mark.parametrize("error", [ValueError("no"), ToolError("yosys", found="failed"), KeyboardInterrupt()])
def test_a_failed_stage_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise error

    store = Store(tmp_path)
    with pytest.raises(type(error)):
        store.get(WORK, fail)
    assert store.size() == (0, 0)
    assert store.get(WORK, write("good"))[1] is False


def test_a_lost_file_is_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path, _ = store.get(WORK, write("good"))
    (path / "out").unlink()
    assert store.find(WORK) is None
    path, hit = store.get(WORK, write("good"))
    assert (hit, (path / "out").read_text()) == (False, "good")


def test_two_processes_make_an_object_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RACER, str(tmp_path / "store"), str(tmp_path / "log"), "0.5"]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = {racer.communicate(timeout=60)[0] for racer in racers}
    assert len(answers) == 1
    assert (tmp_path / "log").read_text() == "begin end "


@pytest.mark.parametrize("resumable", [True, False])
def test_a_killed_stage_is_taken_up_again(tmp_path: Path, resumable: bool) -> None:
    command = [sys.executable, "-c", RESUMER, str(tmp_path / "store")]
    with subprocess.Popen([*command, "die", str(resumable)], stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        assert [victim.stdout.readline(), victim.stdout.readline()] == ["from 0\n", "ready\n"]
        victim.send_signal(signal.SIGKILL)
    assert Store(tmp_path / "store").find(replace(WORK, inputs={}, parameters={}, versions={})) is None
    again = subprocess.run([*command, "live", str(resumable)], capture_output=True, text=True, check=True)
    assert again.stdout == ("from 3\n" if resumable else "from 0\n")
    (target,) = (tmp_path / "store" / "objects").iterdir()
    assert sorted(p.read_text() for p in target.glob("step*")) == list("01234")
    assert not list((tmp_path / "store" / "partial").iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "half").write_text("x")
        with open("/dev/full", "w") as file:
            file.write("x")

    with pytest.raises(InputError) as caught:
        Store(tmp_path).get(WORK, fill)
    assert str(caught.value) == (
        f"InputError: {tmp_path}: the disk is full; nothing half-written was kept\n"
        "  allowed  about 1 GB for a run of the digits\n"
        "  fix      free some space (`arbonn clean` empties the store) or set ARBONN_STORE to a folder on another disk, and run again"
    )
    assert Store(tmp_path).size() == (0, 0)


def test_a_store_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArbonnError) as caught:
        Store(tmp_path / "file").get(WORK, write("x"))
    assert str(caught.value) == (
        f"InputError: {tmp_path / 'file'}: the store cannot be written (Not a directory)\n"
        "  allowed  a folder that you may write to\n"
        "  fix      set ARBONN_STORE to another folder"
    )


def test_clear_spares_what_is_being_made(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.get(replace(WORK, stage="lower"), write("old"))
    command = [sys.executable, "-c", RACER, str(store.root), str(tmp_path / "log"), "1.5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as maker:
        while not (tmp_path / "log").exists():
            time.sleep(0.01)
        assert store.clear()[0] == 1
        assert maker.wait(timeout=30) == 0
    assert store.size()[0] == 1
    assert store.clear()[0] == 1
    assert store.size() == (0, 0)


def test_root_is_the_variable_or_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ARBONN_STORE", str(tmp_path))
    assert default_root() == tmp_path
    monkeypatch.delenv("ARBONN_STORE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert default_root() == Path("/cache/arbonn")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_root() == Path("/home/someone/.cache/arbonn")


def test_link_replaces_a_link_but_no_folder(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        link(tmp_path / name, tmp_path / "out" / "here")
        assert os.readlink(tmp_path / "out" / "here") == str(tmp_path / name)
    with pytest.raises(InputError, match="a folder stands where a link should go"):
        link(tmp_path / "one", tmp_path / "two")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "one byte of a file": lambda o: (o / "out").write_text("Y" + (o / "out").read_text()[1:]),
    "a file is gone": lambda o: (o / "out").unlink(),
    "the record is no object": lambda o: (o / "stored.json").write_text("[]"),
    "the record names no files": lambda o: (o / "stored.json").write_text('{"files": {}}'),
    "the record is cut": lambda o: (o / "stored.json").write_text((o / "stored.json").read_text()[:40]),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_object_is_made_again(how: str, tmp_path: Path) -> None:
    store, work = Store(tmp_path), Work("train", {}, {}, {}, ("errors.py",))
    made, _ = store.get(work, write("whole"))
    DAMAGE[how](made)
    again, cached = store.get(work, write("whole"))
    assert (not cached, (again / "out").read_text()) == (True, "whole")


def test_a_users_own_file_is_never_replaced_by_a_link(tmp_path: Path) -> None:
    own = tmp_path / "model.onnx"
    own.write_text("mine")
    with pytest.raises(InputError) as caught:
        link(tmp_path, own)
    assert str(caught.value) == (
        f"InputError: {own}: a file that arbonn did not make stands where a link should go\n  fix      remove it, or choose another --out"
    )
    assert own.read_text() == "mine"


def test_a_file_in_place_of_the_folder_of_results_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="no folder for results"):
        link(tmp_path, tmp_path / "out" / "lower")


def test_what_a_killed_process_left_is_removed_by_the_next_work(tmp_path: Path) -> None:
    left = tmp_path / "partial" / "build-0123.4567-89"
    left.mkdir(parents=True)
    Store(tmp_path).get(Work("lower", {}, {}, {}, ("errors.py",)), write("x"))
    assert not left.exists()
