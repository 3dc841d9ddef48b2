"""One optimisation step after another, on TensorFlow, JAX or torch: each backend's training loop as Keras documents it.

Keras' own `fit` is not used: it fetches the loss at every step (or hands callbacks to a thread), averages it over the
epoch, and wraps errors of the input on TensorFlow. Here a step is given to the device and its loss stays there until
somebody asks for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from edge_nima_train.backend import has_gpu
from edge_nima_train.hosts import Hosts

Loss = Callable[[Any, Any], Any]
"""Of two tensors of shape (n, 10), a tensor of shape (n,)."""


class Steps(Protocol):
    """Steps of one model with one optimiser."""

    def put(self, batch: Any) -> Any:
        """Begin to bring arrays (or a list of arrays) to the device: the next batch while this one is computed."""

    def __call__(self, inputs: Any, targets: Any) -> Any:
        """Take a step; the loss, a scalar on the device. Variables are out of date until `sync`."""

    def sync(self) -> None:
        """Bring the variables of model and optimiser up to date."""


def steps_of(model: Any, optimizer: Any, loss: Loss, *, jit: bool = True, hosts: Hosts | None = None) -> Steps:
    """Steps on the backend that Keras runs on.

    Args:
        model: a Keras model.
        optimizer: built for its trainable variables.
        loss: as `loss.loss_of`; the mean over the batch is minimised.
        jit: whether TensorFlow on a GPU compiles by XLA; JAX always does, and on a processor it is slower.
        hosts: the processes that take each step together, each with its share of the batch; None for this one alone.
    """
    import keras

    if hosts is not None and hosts.count > 1:
        return _JaxHosts(model, optimizer, loss, hosts)
    kinds: dict[str, Any] = {"jax": _Jax, "torch": _Torch}
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _TensorFlow(model, optimizer, loss, jit and has_gpu())
    steps: Steps = kinds[backend](model, optimizer, loss)
    return steps


def one_ahead(steps: Steps, batches: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
    """Inputs and targets on the device, each brought there while the batch before it is computed."""
    held = None
    for inputs, targets in batches:
        coming = steps.put(inputs), steps.put(targets)
        if held is not None:
            yield held
        held = coming
    if held is not None:
        yield held


class _TensorFlow:
    def __init__(self, model: Any, optimizer: Any, loss: Loss, jit: bool) -> None:
        import tensorflow as tf

        def step(inputs: Any, targets: Any) -> Any:
            with tf.GradientTape() as tape:
                value = tf.reduce_mean(loss(targets, model(inputs, training=True)))
                scaled = optimizer.scale_loss(value)
            optimizer.apply(tape.gradient(scaled, model.trainable_weights), model.trainable_weights)
            return value

        self._step = tf.function(step, jit_compile=jit)
        self._put = tf.convert_to_tensor

    def put(self, batch: Any) -> Any:
        return [self._put(one) for one in batch] if isinstance(batch, list) else self._put(batch)

    def __call__(self, inputs: Any, targets: Any) -> Any:
        return self._step(inputs, targets)

    def sync(self) -> None:
        """Nothing: a step changes the variables themselves."""


class _Jax:
    def __init__(self, model: Any, optimizer: Any, loss: Loss, **jit: Any) -> None:
        import jax
        import keras

        def value_of(trainable: Any, fixed: Any, held: Any, inputs: Any, targets: Any) -> Any:
            predicted, fixed = model.stateless_call(trainable, fixed, inputs, training=True)
            value = keras.ops.mean(loss(targets, predicted))
            with keras.StatelessScope(state_mapping=list(zip(optimizer.variables, held, strict=True))):
                scaled = optimizer.scale_loss(value)
            return scaled, (value, fixed)

        gradient = jax.grad(value_of, has_aux=True)

        def step(state: Any, inputs: Any, targets: Any) -> Any:
            trainable, fixed, held = state
            gradients, (value, fixed) = gradient(trainable, fixed, held, inputs, targets)
            trainable, held = optimizer.stateless_apply(held, gradients, trainable)
            return value, (trainable, fixed, held)

        self._variables = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
        self._state: Any = None
        self._under_way: deque[Any] = deque()
        self._step = jax.jit(step, donate_argnums=0, **jit)
        self._sharding = None
        distribution = keras.distribution.distribution()
        if distribution is not None:
            mesh = jax.sharding.Mesh(
                [jax.devices()[i] for i in range(len(distribution.device_mesh.devices))],
                (distribution.batch_dim_name,),
            )
            self._sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(distribution.batch_dim_name))
        self._put = jax.device_put

    def put(self, batch: Any) -> Any:
        return self._put(batch, self._sharding)

    def __call__(self, inputs: Any, targets: Any) -> Any:
        if self._state is None:
            self._state = tuple([self._placed(variable.value) for variable in part] for part in self._variables)
        value, self._state = self._step(self._state, inputs, targets)
        # JAX takes any number of steps before the first is done: their inputs fill the memory, and a loss that is asked
        # for comes minutes later. With two the device never waits.
        self._under_way.append(value)
        if len(self._under_way) > 2:
            self._under_way.popleft().block_until_ready()
        return value

    def sync(self) -> None:
        if self._state is not None:
            for part, values in zip(self._variables, self._state, strict=True):
                for variable, value in zip(part, values, strict=True):
                    variable.assign(self._own(value))
            self._state = None  # the next step would give these very buffers away

    def _placed(self, value: Any) -> Any:
        """A variable's value where steps take it."""
        return value

    def _own(self, value: Any) -> Any:
        """The value of a variable, from where steps leave it."""
        return value


class _JaxHosts(_Jax):
    """On the devices of several processes; variables are each process's own, alike in all, whenever they are read."""

    def __init__(self, model: Any, optimizer: Any, loss: Loss, hosts: Hosts) -> None:
        self._everywhere, self._split = hosts.sharding(), hosts.sharding("batch")
        super().__init__(model, optimizer, loss, out_shardings=self._everywhere)

    def put(self, batch: Any) -> Any:
        return [self.put(one) for one in batch] if isinstance(batch, list) else self._global(batch, self._split)

    def _placed(self, value: Any) -> Any:
        return self._global(value, self._everywhere)

    def _own(self, value: Any) -> Any:
        return value.addressable_data(0)

    def _global(self, value: Any, sharding: Any) -> Any:
        import jax
        import numpy as np

        return jax.make_array_from_process_local_data(sharding, np.asarray(value))


class _Torch:
    def __init__(self, model: Any, optimizer: Any, loss: Loss) -> None:
        import keras

        self._model, self._optimizer, self._loss = model, optimizer, loss
        self._put = keras.ops.convert_to_tensor

    def put(self, batch: Any) -> Any:
        return [self._put(one) for one in batch] if isinstance(batch, list) else self._put(batch)

    def __call__(self, inputs: Any, targets: Any) -> Any:
        import torch

        self._model.zero_grad()
        value = self._loss(targets, self._model(inputs, training=True)).mean()
        self._optimizer.scale_loss(value).backward()
        weights = self._model.trainable_weights
        with torch.no_grad():
            self._optimizer.apply([weight.value.grad for weight in weights], weights)
        return value.detach()

    def sync(self) -> None:
        """Nothing: a step changes the variables themselves."""
