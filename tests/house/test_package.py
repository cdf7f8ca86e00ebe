"""What a user gets from the wheel and the sdist: real files in the four folders, though a checkout has links there."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("model", "hw", "sim", "flows")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The copy that was built, and a folder with its sdist and the wheel made from that sdist."""
    source, out = tmp_path_factory.mktemp("source") / "arbonn", tmp_path_factory.mktemp("dist")
    # A copy, since setuptools writes egg-info and build/ beside the sources.
    ignored = shutil.ignore_patterns(".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, source, symlinks=True, ignore=ignored)
    # --no-isolation: the build needs setuptools only, which is here; nothing is downloaded.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return source, out


def expected(root: Path) -> set[str]:
    """Names of all Python files and of the data they need, as installed."""
    suffixes = {".py", ".html", ".css", ".js", ".txt", ".v", ".cpp", ".json"}
    files = [p for f in FOLDERS for p in (root / f).rglob("*") if p.suffix in suffixes and "__pycache__" not in p.parts]
    return {f"arbonn/{p.relative_to(root).as_posix()}" for p in files} | {
        f"arbonn/{p.name}" for p in (root / "arbonn").iterdir() if p.suffix in {".py", ".typed"}
    }


def test_wheel_holds_every_file_and_nothing_else(built: tuple[Path, Path]) -> None:
    source, out = built
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {n for n in archive.namelist() if PurePosixPath(n).parts[0] == "arbonn"}
        assert names == expected(source)
        assert {n.rpartition("/")[2] for n in archive.namelist()} >= {"METADATA", "LICENSE", "entry_points.txt"}
        assert not [n for n in archive.namelist() if n.startswith(("tests", "hw", "sim", "flows", "model"))]


def test_sdist_holds_real_files(built: tuple[Path, Path]) -> None:
    source, out = built
    (sdist,) = out.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        members = {PurePosixPath(*PurePosixPath(m.name).parts[1:]).as_posix(): m for m in archive.getmembers()}
    assert expected(source) <= set(members)
    assert all(members[name].isfile() for name in expected(source))


def test_checkout_has_relative_links() -> None:
    for folder in FOLDERS:
        assert (ROOT / "arbonn" / folder).readlink() == Path("..") / folder
