"""The settings of a run: the machine, the log and the checkpoints."""

from __future__ import annotations

import dataclasses

from trainer.cluster.options import ClusterOptions
from trainer.data.decoder_table import DECODERS
from trainer.terminal.option import option

_MACHINE, _LOG = "Machine", "Log and checkpoints"


@dataclasses.dataclass(frozen=True, kw_only=True)
class MachineOptions(ClusterOptions):
    """Where a run trains, and what it reports; most do not change its result."""

    # May change, so that a run can continue after a picture that DALI rejects (with a warning).
    decoder: str = option(
        "auto",
        "The JPEG decoder: TensorFlow (tf) or NVIDIA DALI (dali, of `make gpu`). auto: the one "
        "that a run to be continued has; else DALI if it is installed and there is a GPU.",
        group=_MACHINE,
        choices=DECODERS,
        may_change_on_resume=True,
    )
    xla: str = option(
        "auto",
        "Whether XLA compiles the training step: on or off. auto: on a single GPU the update of "
        "the weights, with --nodeterministic the whole step; on processors, where it is slower, "
        "nothing. Several GPUs do without, and with --micro_batch only the update is compiled.",
        group=_MACHINE,
        choices=("auto", "on", "off"),
        since="0.3",
    )
    tf32: bool = option(
        False,
        "Lets a GPU multiply float32 numbers with the 10 bits of TF32. For --precision=float32; "
        "the 16-bit precisions are faster.",
        group=_MACHINE,
        since="0.3",
    )
    deterministic: bool = option(
        True,
        "On a GPU: only operations that give the same bits every time, so that a run that was "
        "stopped ends as if it had not been. --nodeterministic may be faster.",
        group=_MACHINE,
        may_change_on_resume=True,
        since="0.3",
    )
    steps_per_call: int = option(
        0,
        "Most training steps that the device takes without the host, which small networks would "
        "wait for; 0: 10 on a GPU, else 1.",
        group=_MACHINE,
        at_least=0,
        may_change_on_resume=True,
        since="0.3",
    )
    allow_other_machines: bool = option(
        False,
        "Lets a run continue on another number of machines than it was trained on so far. It sees "
        "the same pictures, but its numbers are no longer bit for bit those of an undisturbed run.",
        group=_MACHINE,
        may_change_on_resume=True,
        since="0.3",
    )
    eval_batch_size: int | None = option(
        None,
        "Pictures per validation step. Default: --batch_size, at least 64.",
        group=_MACHINE,
        at_least=1,
        may_change_on_resume=True,
    )
    features_dir: str | None = option(
        None,
        "Where --cache_features keeps features (InceptionV3: 4 KB a picture in 16-bit floats), for "
        "all runs with the same base and data. Default: .features beside the run's folder.",
        group=_MACHINE,
        is_path=True,
        any_storage=True,
        may_change_on_resume=True,
    )
    log_every_steps: int = option(
        50,
        "Steps between two points of TensorBoard's curves within an epoch.",
        group=_LOG,
        at_least=1,
        may_change_on_resume=True,
    )
    checkpoint_minutes: float = option(
        10.0,
        "Minutes between two checkpoints within an epoch; each epoch also ends with one.",
        group=_LOG,
        at_least=0,
        may_change_on_resume=True,
    )
    checkpoint_steps: int = option(
        0,
        "Steps between two checkpoints within an epoch, instead of minutes; 0: by minutes.",
        group=_LOG,
        at_least=0,
        may_change_on_resume=True,
    )
    profile_steps: int = option(
        0,
        "Steps of the first epoch to profile for TensorBoard's Profile tab; 0: none.",
        group=_LOG,
        at_least=0,
        may_change_on_resume=True,
    )
