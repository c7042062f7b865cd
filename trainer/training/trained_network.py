"""The network of a run, and the step that trains a part of it."""

from __future__ import annotations

import keras
import tensorflow as tf

from trainer.data.class_weights import balanced_weights
from trainer.data.label_map import LabelMap
from trainer.models import batch_norms
from trainer.models.grouped_optimizer import GroupedOptimizer
from trainer.models.layer_groups import variable_groups
from trainer.models.level_heads import LevelHeads
from trainer.models.networks import build_model, set_trainable
from trainer.models.objective import Objective
from trainer.models.optimizers import build_optimizer
from trainer.prediction.loading import untrained_fusion
from trainer.prediction.scores import level_of_class
from trainer.settings.config import Config, ConfigError
from trainer.training.epoch_splits import EpochSplits
from trainer.training.execution import Prepare, choose_execution
from trainer.training.stages import Stage
from trainer.training.step import TrainStep


class TrainedNetwork:
    """The network of a run.

    Args:
      config: resolved settings.
      label_map: the run's classes.
      splits: the products to train on.
      strategy: the devices.
      pretrained: whether to load `config.weights`; a checkpoint needs no other weights.

    Attributes:
      model: from pictures to logits; of a fused run, from the features of products.

    Raises:
      ConfigError: if the run's classes do not belong to a level that is to be learnt as well.
      Also the errors of `build_model`.
    """

    def __init__(
        self,
        config: Config,
        label_map: LabelMap,
        splits: EpochSplits,
        strategy: tf.distribute.Strategy,
        pretrained: bool,
    ):
        self._config, self._splits, self._strategy = config, splits, strategy
        self._objective = _objective(config, label_map, splits)
        categories = label_map.categories
        keras.utils.set_random_seed(config.seed)
        keras.config.set_dtype_policy(config.precision)
        with strategy.scope():
            self.model = _built(config, label_map.num_classes, pretrained)
            self._level_heads = LevelHeads(
                {
                    level: len(getattr(categories, f"{level}_names"))
                    for level in _level_weights(config)
                }
            )
        if config.batch_norm_momentum is not None:
            batch_norms.set_momentum(self.model, config.batch_norm_momentum)
        if config.sync_batch_norm and strategy.num_replicas_in_sync > 1:
            batch_norms.synchronize(self.model)

    def choose(self, stage: Stage) -> None:
        """Chooses the part to train."""
        with self._strategy.scope():
            set_trainable(self.model, stage.name)
            if self._config.batch_norm == "frozen":
                batch_norms.freeze(self.model)

    def step(self, stage: Stage, model: keras.Model, prepare: Prepare | None = None) -> TrainStep:
        """The step that trains a part of the network in a stage.

        Args:
          stage: the stage.
          model: the whole network, or its second half.
          prepare: what the device does with a batch before the network reads it.
        """
        config = self._config
        with self._strategy.scope():
            with_levels = self._level_heads.attached_to(model)
            optimizer = self._optimizer(stage, with_levels)
        return TrainStep(
            with_levels,
            optimizer,
            self._objective,
            self._strategy,
            ema_momentum=config.ema_momentum,
            clip_norm=config.clip_norm,
            micro_batch=config.micro_batch,
            execution=choose_execution(config, self._strategy, prepare),
        )

    def _optimizer(
        self, stage: Stage, model: keras.Model
    ) -> keras.optimizers.Optimizer | GroupedOptimizer:
        config, splits = self._config, self._splits

        def with_rate(factor: float) -> keras.optimizers.Optimizer:
            return build_optimizer(
                config.optimizer,
                learning_rate=factor * stage.learning_rate,
                schedule=config.schedule,
                total_steps=sum(map(splits.planned_steps, range(stage.first, stage.end))),
                warmup_steps=round(config.warmup_epochs * splits.planned_steps(stage.first)),
                weight_decay=config.weight_decay,
                policy=config.precision,
            )

        if config.layer_decay == 1:
            return with_rate(1.0)
        groups = variable_groups(self.model)
        grouped = {id(variable) for group in groups for variable in group}
        # The layers of the levels are new ones, at the top.
        groups[-1] += [one for one in model.trainable_variables if id(one) not in grouped]
        top = len(groups) - 1
        return GroupedOptimizer(
            groups, lambda number: with_rate(config.layer_decay ** (top - number))
        )


def _built(config: Config, num_classes: int, pretrained: bool) -> keras.Model:
    if config.fusion is not None:
        return untrained_fusion(config, num_classes)
    return build_model(
        config.model,
        num_classes,
        image_size=None if config.train_sizes else config.image_size,
        input_range=config.input_range,
        weights=config.weights if pretrained else "none",
        dropout=config.dropout,
        seed=config.seed,
    )


def _level_weights(config: Config) -> dict[str, float]:
    """Weight of the loss of each additional level; only those that are learnt."""
    weights = {"level1": config.level1_weight, "level2": config.level2_weight}
    return {level: weight for level, weight in weights.items() if weight}


def _objective(config: Config, label_map: LabelMap, splits: EpochSplits) -> Objective:
    levels = []
    for level, weight in _level_weights(config).items():
        labels = level_of_class(label_map, level)
        if labels is None or config.target == level:
            raise ConfigError(
                f"--{level}_weight needs classes below {level}: it learns their names of {level} "
                f"as well. Received: --target={config.target}. Leave it out."
            )
        levels.append((weight, labels))
    balance = config.class_balance
    return Objective(
        config.label_smoothing,
        balanced_weights(splits.pictures_of_class(), balance) if balance else None,
        levels,
    )
