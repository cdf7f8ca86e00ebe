"""Trains a recipe in several processes: `torchrun --standalone --nproc-per-node 2 -m arbonn.flows.distributed RECIPE --out DIR`.

Without the store: one process would wait for its lock while the others wait for that process. The first process writes DIR and prints
the result as JSON; the others keep silent. Called again it goes on from DIR's checkpoint. `arbonn lower DIR/model.onnx` comes next.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from arbonn.errors import ArbonnError
from arbonn.flows.recipe import load_recipe
from arbonn.model import processes


def main() -> int:
    """Exit code 0, or 2 for bad input, told once."""
    parser = argparse.ArgumentParser(prog="torchrun -m arbonn.flows.distributed", description="Train in several processes.")
    parser.add_argument("recipe", type=Path, metavar="RECIPE")
    parser.add_argument("--out", type=Path, default=None, metavar="DIR", help="build/NAME by default")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a key of the recipe; may be repeated")
    options = parser.parse_args()
    first = os.environ.get("RANK", "0") == "0"
    try:
        from arbonn.model.train import train

        wanted = load_recipe(options.recipe, options.set)
        outcome = train(wanted, options.out or Path("build") / wanted.name)
    except ArbonnError as error:
        if first:
            print(error, file=sys.stderr)
        return 2
    finally:
        processes.leave()
    if first:
        print(outcome.model_dump_json(indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
