"""`two_stage.json`: the parts of a finished two-stage run."""

from __future__ import annotations

import dataclasses
import json

from cdisc_tfds.whole_files import write_json
from trainer.runs.folder import RunFolder, RunFolderError

_FORMAT = 2  # format 1 (versions up to 0.1) had no number


@dataclasses.dataclass(frozen=True)
class TwoStageParts:
    """The networks of a two-stage run; folders are relative to the run's.

    Attributes:
      level1: folder of the level-1 network.
      specialists: folder of each specialist, by level-1 label.
      priors: for each level-1 label without a specialist, p(category | level 1) of its categories,
        in label order.
    """

    level1: str
    specialists: dict[int, str]
    priors: dict[int, list[float]]

    def write(self, run: RunFolder) -> None:
        """Writes the file; its existence means that all parts are finished."""
        write_json(run.two_stage_path, {"format": _FORMAT, **dataclasses.asdict(self)})

    @classmethod
    def read(cls, run: RunFolder) -> TwoStageParts:
        """Reads the file.

        Raises:
          RunFolderError: if it is damaged, or a newer version wrote it.
        """
        path = run.two_stage_path
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            number = content.get("format", 1)
            parts = cls(
                content["level1"],
                {int(label): folder for label, folder in content["specialists"].items()},
                {int(label): prior for label, prior in content["priors"].items()},
            )
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise RunFolderError(
                f"{path} must list the parts of a two-stage run. It cannot be read ({error}). "
                "Delete it and start `python -m trainer.two_stage` again with the same flags: what "
                "is trained is kept."
            ) from error
        if number > _FORMAT:
            raise RunFolderError(
                f"This version reads two_stage.json up to format {_FORMAT}. {path} has format "
                f"{number}: a newer version of the project wrote it. Use that version."
            )
        return parts
