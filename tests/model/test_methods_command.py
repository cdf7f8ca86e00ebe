"""`arbonn methods` lists what the registry holds."""

from __future__ import annotations

import json

import pytest

from arbonn.flows.cli import main
from arbonn.model.recipe import METHODS


def listed(capfd: pytest.CaptureFixture[str], *options: str) -> str:
    with pytest.raises(SystemExit) as done:
        main(["methods", *options])
    assert done.value.code == 0
    return capfd.readouterr().out


def test_every_method_with_its_line_paper_and_options(capfd):
    found = json.loads(listed(capfd, "--json"))["methods"]
    assert list(found) == METHODS.names()
    assert found["rebnn"] == {
        "role": "binarizer",
        "summary": METHODS.get("rebnn", "").summary,
        "paper": "ReBNN, AAAI 2023, arXiv 2302.00956",
        "options": ["gamma", "weight_clip", "scale_grad"],
        "not_around": {},
    }
    assert found["sam"]["role"] == "wrapper"
    assert found["sam"]["not_around"]["biper"] == "biper's stage 1 has no bits to perturb"
    text = listed(capfd)
    assert all(name in text for name in METHODS.names())
