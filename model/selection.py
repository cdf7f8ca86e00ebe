"""Which epoch's network a run takes: the last one that the validation images cannot tell from the best.

That is the one-standard-error rule (Breiman et al., Classification and Regression Trees, 1984, 3.4.3), with the learning rate, which falls
from epoch to epoch, as what makes a network simple: of all epochs whose validation accuracy is within one standard error of the
highest, the most settled one. The highest itself is often a lucky early epoch: of 180 images, 98 % right, the error is 1.1 points.
"""

from __future__ import annotations

import math


def takes(accuracy: float, peak: float, images: int) -> bool:
    """Whether an epoch takes the place of the one that was taken before it.

    accuracy: the epoch's, on so many validation images; peak: the highest of all epochs up to it, its own too. A later peak takes its
    own epoch, so what is taken in the end is the last epoch within the error of the final peak, with one network kept in memory.
    """
    return accuracy >= peak - standard_error(peak, images)


def standard_error(accuracy: float, images: int) -> float:
    """Of an accuracy that was measured on so many images; with one right and one wrong image more, so that it is never 0."""
    p = (accuracy * images + 1) / (images + 2)
    return math.sqrt(p * (1 - p) / images)
