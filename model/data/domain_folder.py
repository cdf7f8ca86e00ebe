"""`domain-folder`: any folder of pictures with a folder for each domain, as PACS, VLCS and OfficeHome are packed."""

from __future__ import annotations

from arbonn.errors import DataError
from arbonn.model.data.dataset import DataSet
from arbonn.model.data.domains import joined, parts
from arbonn.model.data.folder import Reader, class_names, fingerprint, root_of, subfolders
from arbonn.model.recipe import DATASETS, DataConfig

LAYOUT = "root/DOMAIN/CLASS/*.png, the same classes in each of at least 2 domains"


@DATASETS.register("domain-folder")
def domain_folder(config: DataConfig) -> DataSet:
    """Pictures in `data.root`: a folder for each domain, in it one for each class, the same in all; grey or rgb, `data.colour`."""
    root = root_of(config, LAYOUT)
    names = tuple(subfolders(root))
    if len(names) < 2:
        raise DataError(str(root), found=f"{len(names)} folders of domains", allowed=LAYOUT, fix='data.name = "folder" takes one domain')
    classes, reader = class_names(root / names[0], LAYOUT), Reader(config)
    whole = joined([reader.split(root / name, classes) for name in names])
    return DataSet(
        "domain-folder", "uint8,scale=1/255", reader.shape, 255, (1.0, 255.0), len(classes), *parts(whole, names, config)
    )  # fmt: skip


domain_folder.fingerprint = fingerprint
