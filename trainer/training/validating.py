"""Validation after an epoch, on one worker or several."""

from __future__ import annotations

import dataclasses
import json

from trainer.cluster.workers import Workers
from trainer.prediction.validation import Validation
from trainer.terminal.signals import StopAsked, StopFlag
from trainer.training.feeds import FeatureFeed, PictureFeed
from trainer.training.fusion_feed import FusionFeed


def validated(
    feed: PictureFeed | FeatureFeed | FusionFeed, epoch: int, stop: StopFlag, workers: Workers
) -> Validation:
    """The scores after an epoch, alike on all workers.

    They share out the pictures; of features, which takes seconds, the chief validates alone.

    Raises:
      StopAsked: on all workers, if one that validates was asked to stop meanwhile.
    """
    if isinstance(feed, PictureFeed):
        return feed.validate(epoch, stop.check)

    def validate() -> str:
        try:
            return json.dumps(dataclasses.asdict(feed.validate(epoch, stop.check)))
        except StopAsked:
            return ""

    text = workers.from_chief(validate)
    if not text:
        raise StopAsked
    return Validation(**json.loads(text))
