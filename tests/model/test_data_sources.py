"""Data sets in files: read as they are, verified, and refused in one sentence where they are missing, damaged or of another shape."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from arbonn.errors import DataError
from arbonn.model.data import cifar, folder, inputs, load, mnist, semeion
from arbonn.model.recipe import DataConfig


def refusal(config: DataConfig, folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        load(config)
    return str(caught.value).replace(str(folder), "DIR")


@pytest.fixture
def no_data(monkeypatch):
    monkeypatch.delenv("ARBONN_DATA", raising=False)


@pytest.fixture
def given() -> str:
    if "ARBONN_DATA" not in os.environ:
        pytest.skip("ARBONN_DATA is not set")
    return os.environ["ARBONN_DATA"]


def test_mnist_and_semeion_as_they_are(given):
    data = load(DataConfig(name="mnist"))
    assert [len(split) for split in (data.train, data.val, data.test)] == [54_000, 6_000, 10_000]
    assert (data.contract, data.image, data.train.codes.dtype) == ("uint8,scale=1/255", (1, 28, 28), np.uint8)
    assert data.test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9], "the test set in its own order"
    data = load(DataConfig(name="semeion"))
    assert [len(split) for split in (data.train, data.val, data.test)] == [1115, 159, 319]
    assert (data.contract, data.image, data.high) == ("uint1,scale=1", (1, 16, 16), 1)


def test_semeion_as_uci_writes_it(given, tmp_path):
    with np.load(Path(given) / "semeion.npz") as arrays:
        images, labels = arrays["images"].reshape(-1, 256), arrays["labels"]
    lines = [
        " ".join(f"{pixel:.4f}" for pixel in image) + " " + " ".join(str(int(label == c)) for c in range(10)) + " "
        for image, label in zip(images, labels, strict=True)
    ]
    (tmp_path / "semeion.data").write_text("\n".join(lines) + "\n")
    text, npz = load(DataConfig(name="semeion", root=str(tmp_path))), load(DataConfig(name="semeion"))
    assert np.array_equal(text.train.codes, npz.train.codes)
    assert np.array_equal(text.train.labels, npz.train.labels)
    (tmp_path / "semeion.data").write_text("\n".join(lines[:-1]) + "\n")
    assert refusal(DataConfig(name="semeion", root=str(tmp_path)), tmp_path).endswith(
        f"  allowed  sha256 {semeion.PIXELS_SHA256}\n  fix      {semeion.GET}"
    )


def test_fashion_mnist_as_debian_has_it():
    if not (Path(mnist.DEBIAN) / "fashion-mnist").is_dir():
        pytest.skip("dataset-fashion-mnist is not installed")
    data = load(DataConfig(name="fashion-mnist", val=1000))
    assert [len(split) for split in (data.train, data.val, data.test)] == [59_000, 1_000, 10_000]
    assert data.test.labels[:10].tolist() == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


@pytest.fixture
def four(tmp_path, monkeypatch) -> Path:
    """A folder with four small files as Fashion-MNIST's, which are taken for the real ones."""
    random = np.random.default_rng(0)
    arrays = []
    for count in (60, 40):
        arrays += [random.integers(0, 256, (count, 28, 28), np.uint8), (np.arange(count) % 10).astype(np.uint8)]
    contents = [idx(array) for array in arrays]
    monkeypatch.setattr(mnist, "FASHION_SHA256", tuple(hashlib.sha256(content).hexdigest() for content in contents))
    for name, content in zip(mnist.FILES, contents, strict=True):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
    return tmp_path


def test_the_four_files_of_the_original(four):
    data = load(DataConfig(name="fashion-mnist", root=str(four), val=20, test=20))
    assert [len(split) for split in (data.train, data.val, data.test)] == [40, 20, 20]
    whole = load(DataConfig(name="fashion-mnist", root=str(four), val=10))
    with gzip.open(four / f"{mnist.FILES[2]}.gz") as file:
        assert bytes(whole.test.codes) == file.read()[16:], "all of them, in their order"
    assert whole.test.codes.flags.writeable, "torch warns of tensors that cannot be written"


def test_a_truncated_file(four):
    path = four / f"{mnist.FILES[0]}.gz"
    path.write_bytes(path.read_bytes()[:-100])
    assert refusal(DataConfig(name="fashion-mnist", root=str(four)), four) == (
        "DataError: DIR/train-images-idx3-ubyte.gz: cannot be read to its end: "
        "Compressed file ended before the end-of-stream marker was reached\n  allowed  a whole file\n  fix      get it again"
    )
    path.unlink()
    (four / mnist.FILES[0]).write_bytes(b"\0" * 30)
    for name in mnist.FILES[1:]:
        (four / name).write_bytes(b"")
    seen = hashlib.sha256(b"\0" * 30).hexdigest()[:16]
    assert refusal(DataConfig(name="fashion-mnist", root=str(four)), four) == (
        f"DataError: DIR/train-images-idx3-ubyte: 30 bytes of sha256 {seen}..., so a damaged or another file\n"
        f"  allowed  sha256 {mnist.FASHION_SHA256[0]}\n  fix      {mnist.FASHION_GET}"
    )


def test_a_set_with_a_file_missing(four):
    (four / f"{mnist.FILES[3]}.gz").unlink()
    assert refusal(DataConfig(name="fashion-mnist", root=str(four)), four) == (
        "DataError: DIR/t10k-labels-idx1-ubyte.gz: no such file\n  allowed  a whole file\n  fix      get it again"
    )


def test_a_set_that_is_not_there(no_data, tmp_path):
    assert refusal(DataConfig(name="mnist"), tmp_path) == (
        "DataError: data set mnist: mnist.npz is not there (looked in no folder: neither data.root nor ARBONN_DATA names one)\n"
        "  allowed  mnist.npz, or mnist/train-images-idx3-ubyte.gz, or mnist/train-images-idx3-ubyte, or train-images-idx3-ubyte.gz, "
        "or train-images-idx3-ubyte, in the folder that data.root or ARBONN_DATA names\n"
        "  fix      get the four files of MNIST (train-images-idx3-ubyte.gz, ...) from https://ossci-datasets.s3.amazonaws.com/mnist/"
    )
    assert "(looked in DIR)" in refusal(DataConfig(name="cifar10", root=str(tmp_path)), tmp_path)


@pytest.fixture
def batches(tmp_path, monkeypatch) -> Path:
    """A small CIFAR-10 in its folder."""
    random, digests = np.random.default_rng(0), {}
    (tmp_path / "cifar-10-batches-py").mkdir()
    for name in cifar.TEN:
        rows = random.integers(0, 256, (30, 3072), np.uint8)
        content = pickle.dumps({b"data": rows, b"labels": [n % 10 for n in range(30)]}, protocol=2)
        digests[name] = hashlib.md5(content, usedforsecurity=False).hexdigest()
        (tmp_path / "cifar-10-batches-py" / name).write_bytes(content)
    monkeypatch.setattr(cifar, "TEN", digests)
    return tmp_path


def test_cifar_from_its_folder_and_from_its_archive(batches, tmp_path):
    data = load(DataConfig(name="cifar10", root=str(batches)))
    assert [len(split) for split in (data.train, data.val, data.test)] == [135, 15, 30]
    assert (data.image, data.frame) == ((3, 32, 32), (3072,))
    packed = tmp_path / "packed"
    packed.mkdir()
    with tarfile.open(packed / "cifar-10-python.tar.gz", "w:gz") as tar:
        tar.add(batches / "cifar-10-batches-py", "cifar-10-batches-py")
    again = load(DataConfig(name="cifar10", root=str(packed)))
    assert np.array_equal(again.train.codes, data.train.codes)
    whole = (packed / "cifar-10-python.tar.gz").read_bytes()
    (packed / "cifar-10-python.tar.gz").write_bytes(whole[: len(whole) // 2])
    assert "cifar-10-python.tar.gz: cannot be read to its end: " in refusal(DataConfig(name="cifar10", root=str(packed)), packed)


def test_a_pickle_that_names_anything_but_arrays_is_not_run():
    evil = pickle.dumps(os.system)
    with pytest.raises(pickle.UnpicklingError, match="is no array"):
        cifar._Plain(io.BytesIO(evil)).load()


def picture(path: Path, value: int, size: tuple[int, int] = (6, 4), mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size[::-1], value if mode == "L" else (value, 0, 255 - value)).save(path)


@pytest.fixture
def pictures(tmp_path) -> Path:
    for label, name in enumerate(("ant", "bee")):
        for number in range(10):
            picture(tmp_path / name / f"{number}.png", 100 * label + number)
    (tmp_path / "ant" / ".hidden.png").touch()
    (tmp_path / "notes.txt").touch()
    return tmp_path


def config(root: Path, **options) -> DataConfig:
    return DataConfig(name="folder", root=str(root), **options)


def test_a_folder_without_parts_is_split_by_the_seed(pictures):
    data = load(config(pictures, val=4, test=6))
    assert [len(split) for split in (data.train, data.val, data.test)] == [10, 4, 6]
    assert (data.classes, data.image) == (2, (1, 6, 4))
    for split in (data.train, data.val, data.test):
        assert np.array_equal(split.codes[:, 0] >= 100, split.labels == 1), "classes in the order of their names"


def test_a_folder_with_parts_keeps_them(pictures, tmp_path):
    for part in ("train", "test"):
        for name in ("ant", "bee"):
            for number in range(6):
                picture(pictures / "whole" / part / name / f"{number}.png", 10 * number, mode="RGB")
    data = load(config(pictures / "whole", val=2))
    assert [len(split) for split in (data.train, data.val, data.test)] == [10, 2, 12]
    assert data.image == (3, 6, 4)
    assert data.test.codes.reshape(12, 3, 6, 4)[1, :, 0, 0].tolist() == [10, 0, 245], "planes of red, green, blue"
    assert load(config(pictures / "whole", val=2, colour="grey", size=(3, 3))).image == (1, 3, 3)
    (pictures / "whole" / "test" / "cat").mkdir()
    assert refusal(config(pictures / "whole", val=2), tmp_path) == (
        "DataError: DIR/whole/test/cat: a class that the training images lack\n  allowed  ant, bee"
    )


def test_a_class_with_no_picture(pictures):
    (pictures / "cat").mkdir()
    assert refusal(config(pictures), pictures) == (
        "DataError: DIR/cat: a class with no picture\n  allowed  files of .bmp, .gif, .jpeg, .jpg, .pgm, .png, .ppm, .tif, .tiff, .webp"
    )
    picture(pictures / "cat" / "one.png", 3)
    assert refusal(config(pictures, val=4, test=6), pictures) == (
        "DataError: data: val = 4, test = 6 of 21 images, 1 of class 2\n  allowed  at least 3 images in each part, one of each class"
    )


def test_a_picture_of_another_size(pictures):
    picture(pictures / "bee" / "5.png", 3, (7, 4))
    assert refusal(config(pictures, val=4, test=6), pictures) == (
        "DataError: DIR/bee/5.png: a picture of 7x4 pixels\n  allowed  6x4, as DIR/ant/0.png has\n"
        "  fix      data.size = [6, 4] resizes all to one size"
    )
    assert load(config(pictures, val=4, test=6, size=(6, 4))).image == (1, 6, 4)


def test_a_truncated_picture_and_one_that_is_none(pictures):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)
    Image.fromarray(noise).save(pictures / "bee" / "5.png")
    whole = (pictures / "bee" / "5.png").read_bytes()
    (pictures / "bee" / "5.png").write_bytes(whole[:300])
    text = refusal(config(pictures, size=(4, 4)), pictures)
    assert text.startswith("DataError: DIR/bee/5.png: a picture that cannot be read: ")
    (pictures / "bee" / "5.png").write_bytes(b"no picture at all")
    assert refusal(config(pictures), pictures) == (
        "DataError: DIR/bee/5.png: no picture\n  allowed  whole files of .bmp, .gif, .jpeg, .jpg, .pgm, .png, .ppm, .tif, .tiff, .webp"
    )


def test_folders_that_are_none(pictures):
    assert refusal(DataConfig(name="folder"), pictures) == (
        f"DataError: data.root: nothing\n  allowed  a folder of pictures: {folder.LAYOUT}\n  fix      set data.root"
    )
    assert refusal(config(pictures / "elsewhere"), pictures) == (
        f"DataError: data.root: DIR/elsewhere: no such folder\n  allowed  {folder.LAYOUT}"
    )
    assert refusal(config(pictures / "ant"), pictures) == (
        f"DataError: DIR/ant: 0 folders of classes\n  allowed  at least 2: {folder.LAYOUT}"
    )
    (pictures / "ant" / "train").mkdir()
    assert refusal(config(pictures / "ant"), pictures) == f"DataError: DIR/ant: a folder train alone\n  allowed  {folder.LAYOUT}"


def test_the_fingerprint_sees_every_picture(pictures):
    before = folder.fingerprint(config(pictures))
    (pictures / "notes.txt").write_text("changed")
    assert folder.fingerprint(config(pictures)) == before
    assert inputs(config(pictures)) == {"data": before}
    picture(pictures / "bee" / "5.png", 77)
    assert inputs(config(pictures)) != {"data": before}
    more = folder.fingerprint(config(pictures))
    (pictures / "wasp").mkdir()  # refused as a class with no picture: a result in the store must not answer for it
    assert folder.fingerprint(config(pictures)) != more
    assert inputs(DataConfig(name="digits")) == {}
