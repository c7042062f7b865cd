"""What must be the same on all workers for them to train one network."""

from __future__ import annotations

import dataclasses
import hashlib

from trainer.cluster.installation import facts_of_installation
from trainer.cluster.shared_storage import appears
from trainer.runs.folder import RunFolder
from trainer.runs.state import DataIdentity
from trainer.settings.config import Config
from trainer.settings.settings import RunOptions
from trainer.terminal.option import options

# Where a worker finds the data, and where it keeps files of its own.
_OF_A_MACHINE = ("data_dir", "features_dir")


def facts_of(config: Config) -> dict[str, str]:
    """Settings, code, versions and devices, by the names that messages give them."""
    flags = options(RunOptions)
    settings = {
        f"--{name}" if name in flags else name: str(value)
        for name, value in dataclasses.asdict(config).items()
        if name not in _OF_A_MACHINE
    }
    return settings | facts_of_installation()


def facts_of_data(identity: DataIdentity) -> dict[str, str]:
    """The same for the data."""
    return {
        f"the products of --{name}_split": digest[:12]
        for name, digest in dataclasses.asdict(identity).items()
    }


def folder_digest(run: RunFolder) -> str:
    """A digest of a run's settings and position, as its folder holds them."""
    digest = hashlib.sha256()
    for path in (run.config_path, run.state_path):
        digest.update(path.read_bytes() if path.exists() else b"none")
    return digest.hexdigest()


def problem_of_folder(run: RunFolder, digest: str) -> str:
    """What keeps a worker from using the chief's run folder; empty if nothing does."""
    if appears(lambda: folder_digest(run) == digest):
        return ""
    found = "finds another run" if run.config_path.exists() else "finds no config.json"
    return (
        "--run_dir must be a folder that all workers share, at the same path. This worker "
        f"{found} in {run.path.absolute()}, while the chief has opened the run there."
    )
