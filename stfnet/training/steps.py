"""One step of training or of validation, compiled, on every device."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf

from stfnet.clips.input_pipeline import network_inputs
from stfnet.config import TrainingConfig, microbatches_per_device
from stfnet.layers.score_average import training_logits
from stfnet.networks import parts


class DistributedSteps:
    """Compiled steps of one stage: each replica computes its clips, and the results are summed.

    `train(batch, stopping)` and `test(batch, stopping)` take a batch of
    `input_pipeline.clip_dataset` for each replica and a float that says whether this process must
    stop. Both return float32 sums over the clips of all replicas: `correct`, and the replicas' sum
    of `stopping`; `train` also the batch's mean `loss` and the `gradient_norm` before clipping;
    `test` the sum of the losses as `loss`, the `count` of clips and the `confusion` matrix (rows:
    truth), weighted with the plan's weights.

    The model, made in the strategy's scope, has a `logits` layer; where it averages several class
    scores, the loss of a clip is the mean of theirs (`training_logits`). Where batches hold the
    streams' maps at the end of a block (`Features.dataset`), only what follows is computed and
    trained; with block 0 they hold images.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        training: TrainingConfig,
        strategy: tf.distribute.Strategy,
        block: int = 0,
    ):
        self.optimizer, self.training, self.strategy = optimizer, training, strategy
        self.block, self.classes = block, model.output.shape[-1]
        self.replicas = strategy.num_replicas_in_sync
        self.microbatches = microbatches_per_device(training, self.replicas)
        with strategy.scope():
            # The loss is computed on logits: a softmax that underflows has no gradient.
            logits, self.score_weights = training_logits(model)
            if block:
                self.model = parts.from_block(model, block, logits)
            else:
                self.model = keras.Model(model.input, logits)
            self._averaged = model.get_layer("logits")
            self.optimizer.build(self.model.trainable_variables)
        # For SwapEMAWeights alone: the network itself is saved without its optimiser.
        self.model.compile(optimizer=self.optimizer)
        # Of counters, learning rate and loss scale; moments and averages all start at zero.
        self._first_values = [
            float(v.value.numpy()) if v.shape == () else 0.0 for v in self.optimizer.variables
        ]
        self.train = tf.function(self._distributed(self._train_on_replica), autograph=False)
        self.test = tf.function(self._distributed(self._test_on_replica), autograph=False)

    def reset_optimizer(self) -> None:
        """Gives the optimiser the values it had before its first step."""
        for variable, first in zip(self.optimizer.variables, self._first_values, strict=True):
            variable.assign(keras.ops.full_like(variable, first))

    @contextlib.contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """With `ema`, puts the running mean of the weights into the network for the block."""
        if not self.training.ema:
            yield
            return
        swap = keras.callbacks.SwapEMAWeights()
        swap.set_model(self.model)
        swap.on_test_begin()
        try:
            yield
        finally:
            swap.on_test_end()

    def _distributed(self, step):
        compiled = step
        if self.training.jit_compile:
            compiled = tf.function(step, jit_compile=True, autograph=False)

        def run(*args):
            results = self.strategy.run(compiled, args=args)
            return {
                name: self.strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None)
                for name, value in results.items()
            }

        return run

    def _losses(self, batch, training):
        """Each clip's cross entropy and correctness, float32 (B,), and its best class, int64."""
        inputs = network_inputs(batch)
        inputs = {name: inputs[name] for name in self.model.input}
        labels = tf.one_hot(batch["label"], self.classes)
        smoothing = self.training.label_smoothing if training else 0.0
        labels = labels * (1 - smoothing) + smoothing / labels.shape[-1]
        logits = tf.cast(self.model(inputs, training=training), tf.float32)
        if self.score_weights:
            every = tf.repeat(labels[:, None], len(self.score_weights), axis=1)  # b s classes
            losses = tf.nn.softmax_cross_entropy_with_logits(every, logits)
            losses = tf.reduce_sum(losses * tf.constant(self.score_weights), axis=1)
            logits = self._averaged(logits)
        else:
            losses = tf.nn.softmax_cross_entropy_with_logits(labels, logits)
        predicted = tf.argmax(logits, -1)
        return losses, tf.cast(predicted == batch["label"], tf.float32), predicted

    def _gradients(self, batch):
        with tf.GradientTape() as tape:
            losses, correct, _ = self._losses(batch, training=True)
            loss = tf.reduce_sum(losses * batch["weight"]) / self.training.batch_size
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self.model.trainable_variables)
        return gradients, loss, tf.reduce_sum(correct)

    def _sum_over_microbatches(self, compute, batch, zeros):
        """Sums, from zeros on, of what `compute` returns of each microbatch, one at a time."""
        if self.microbatches == 1:
            return compute(batch)
        stacked = {
            name: tf.reshape(value, (self.microbatches, -1, *value.shape[1:]))
            for name, value in batch.items()
        }

        def body(k, sums):
            results = compute({name: value[k] for name, value in stacked.items()})
            return k + 1, tf.nest.map_structure(tf.add, sums, results)

        _, sums = tf.while_loop(
            lambda k, _: k < self.microbatches,
            body,
            (0, zeros),
            maximum_iterations=self.microbatches,
            parallel_iterations=1,
        )
        return sums

    def _train_on_replica(self, batch, stopping=0.0):
        zeros = [tf.zeros_like(v.value) for v in self.model.trainable_variables], 0.0, 0.0
        gradients, loss, correct = self._sum_over_microbatches(self._gradients, batch, zeros)
        if self.replicas > 1:
            # Summed here so that norm and clipping see the whole batch's gradient; as the optimiser
            # sums over the replicas again, each gets 1 / replicas of it.
            gradients = tf.distribute.get_replica_context().all_reduce(
                tf.distribute.ReduceOp.SUM, gradients
            )
        norm = tf.linalg.global_norm(gradients)
        if self.training.precision == "mixed_float16":
            norm /= tf.cast(self.optimizer.dynamic_scale, tf.float32)
        scale = 1.0 / self.replicas
        if self.training.clip_norm:
            scale *= tf.minimum(1.0, self.training.clip_norm / (norm + 1e-12))
        if self.replicas > 1 or self.training.clip_norm:
            gradients = [gradient * tf.cast(scale, gradient.dtype) for gradient in gradients]
        self.optimizer.apply(gradients, self.model.trainable_variables)
        return {
            "loss": loss,
            "correct": correct,
            "gradient_norm": norm / self.replicas,
            "stopping": tf.identity(stopping),  # a tensor of the replica
        }

    def _test_on_replica(self, batch, stopping=0.0):
        zeros = dict.fromkeys(("loss", "correct", "count"), 0.0)
        zeros["confusion"] = tf.zeros((self.classes, self.classes))
        sums = self._sum_over_microbatches(self._figures, batch, zeros)
        return {**sums, "stopping": tf.identity(stopping)}

    def _figures(self, batch):
        losses, correct, predicted = self._losses(batch, training=False)
        weight = batch["weight"]
        return {
            "loss": tf.reduce_sum(losses * weight),
            "correct": tf.reduce_sum(correct * weight),
            "count": tf.reduce_sum(weight),
            "confusion": tf.math.confusion_matrix(
                batch["label"], predicted, self.classes, weight, tf.float32
            ),
        }
