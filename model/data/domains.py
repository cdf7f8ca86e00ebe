"""Data sets with domains of their own: which domain trains, which tests. The protocol is DomainBed's (arXiv 2007.01434)."""

from __future__ import annotations

import numpy as np

from arbonn.errors import DataError
from arbonn.model.data.dataset import Split
from arbonn.model.data.splits import held_out, three
from arbonn.model.recipe import DataConfig
from arbonn.settings import nearest

VAL = 0.2  # of each training domain, as DomainBed takes it


def parts(whole: Split, names: tuple[str, ...], config: DataConfig) -> tuple[Split, Split, Split, tuple[str, ...]]:
    """(train, val, test, names of domains) of a set whose `domains` are numbered as `names`.

    With `data.leave_out` that domain alone tests, and validation images are drawn inside each of the others, 20 % by default:
    what is chosen by validation accuracy is chosen by training domains. The domains are then numbered anew, the one left out last.
    Without it every domain is in all three parts in proportion.
    """
    if config.leave_out is None:
        return *three(whole, config), names
    if config.leave_out not in names:
        raise DataError(
            f"data.leave_out: {config.leave_out}",
            found=f"no domain of {config.name}",
            allowed=", ".join(names),
            fix=nearest(config.leave_out, names),
        )
    order = [name for name in names if name != config.leave_out] + [config.leave_out]
    number = np.array([order.index(name) for name in names], np.int64)[whole.domains]
    renumbered = Split(whole.codes, whole.labels, number)
    unseen = number == len(names) - 1
    test = renumbered.take(np.flatnonzero(unseen))
    return *held_out(renumbered.take(np.flatnonzero(~unseen)), test, config, VAL), tuple(order)


def joined(domains: list[Split]) -> Split:
    """Splits one after the other, the n-th of them as domain n."""
    return Split(
        np.concatenate([domain.codes for domain in domains]),
        np.concatenate([domain.labels for domain in domains]),
        np.repeat(np.arange(len(domains)), [len(domain) for domain in domains]),
    )
