"""The weights of a run that an evaluation, a submission or an export was made of."""

from __future__ import annotations

import dataclasses
import hashlib

from trainer.runs.folder import RunFolder
from trainer.runs.state import DataIdentity
from trainer.runs.two_stage_file import TwoStageParts


@dataclasses.dataclass(frozen=True)
class RunWeights:
    """The weights of a checkpoint of a run.

    Attributes:
      run: name of the run's folder.
      checkpoint: `best` or `last`.
      epoch: counted from 0; None for a two-stage run, whose networks each have their own.
      sha256: of the weights file; for a two-stage run, of its networks' SHA-256 in order.
      trained_on: the data that it was trained on (of a two-stage run, its level-1 network); None if
        version 0.1 trained it.
    """

    run: str
    checkpoint: str
    epoch: int | None
    sha256: str
    trained_on: DataIdentity | None = None

    @classmethod
    def of(cls, run: RunFolder, checkpoint: str) -> RunWeights | None:
        """Reads them from a run's folder; None before the first epoch is finished.

        Raises:
          RunFolderError, StateError: if the folder's files cannot be read.
        """
        name = run.path.absolute().name
        if not run.is_two_stage:
            state = run.state
            weights = state.weights(checkpoint)
            if weights is None:
                return None
            return cls(name, checkpoint, weights.epoch, weights.sha256, state.data)
        parts = TwoStageParts.read(run)
        digest, trained_on = hashlib.sha256(), RunFolder(run.path / parts.level1).state.data
        for folder in (parts.level1, *parts.specialists.values()):
            weights = RunFolder(run.path / folder).state.weights(checkpoint)
            if weights is None:
                return None
            digest.update(weights.sha256.encode())
        return cls(name, checkpoint, None, digest.hexdigest(), trained_on)
