"""Calibrates the cost model: units and whole networks synthesised, coefficients fitted to the units (`make cost-model`)."""
