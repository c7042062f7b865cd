"""Validation after an epoch, on one worker or several."""

from __future__ import annotations

import dataclasses
import json

from trainer.prediction.validation import Validation
from trainer.terminal.signals import StopAsked, StopFlag
from trainer.training.feeds import FeatureFeed, PictureFeed
from trainer.training.fusion_feed import FusionFeed
from trainer.training.workers import Workers


def validated(
    feed: PictureFeed | FeatureFeed | FusionFeed, epoch: int, stop: StopFlag, workers: Workers
) -> Validation:
    """The scores after an epoch, alike on all workers. The chief validates; the others wait.

    Raises:
      StopAsked: on all workers, if the chief was asked to stop meanwhile.
    """

    def validate() -> str:
        try:
            return json.dumps(dataclasses.asdict(feed.validate(epoch, stop.check)))
        except StopAsked:
            return ""

    text = workers.from_chief(validate)
    if not text:
        raise StopAsked
    return Validation(**json.loads(text))
