"""One network being trained on this machine's CPU: forward, backward, update."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mxnet as mx
import networks
import numpy as np
from container import RefusedError
from model_files import Model

if TYPE_CHECKING:
    from hyperparameters import Hyperparameters

LAST_LAYER = ("fc1_weight", "fc1_bias")


class Classifier:
    """A trained model, bound for inference in batches of `batch`."""

    def __init__(self, model: Model, batch: int) -> None:
        inputs = {"data": mx.nd.zeros((batch, *model.shape)), "softmax_label": mx.nd.zeros(batch)}
        self._executor = model.symbol.bind(
            mx.cpu(), model.arguments | inputs, grad_req="null", aux_states=model.auxiliaries
        )

    def classify(self, pictures: Any) -> Any:
        """Probabilities [batch, classes] of [batch, 3, H, W]."""
        return self._executor.forward(is_train=False, data=pictures)[0].asnumpy()


class Learner:
    """Weights, their optimizer, and the executor that trains them."""

    def __init__(self, plan: Hyperparameters, class_weights: Any | None) -> None:
        """`class_weights` [classes] scales the loss of each class; None: all the same."""
        self._class_weights = class_weights
        side = max(plan.image_shape[1:])
        self.symbol = networks.resnet(plan.num_layers, plan.num_classes, side)
        training = self.symbol
        inputs = {
            "data": (plan.mini_batch_size, *plan.image_shape),
            "softmax_label": (plan.mini_batch_size,),
        }
        if class_weights is not None:
            training = networks.resnet(plan.num_layers, plan.num_classes, side, weighted=True)
            inputs["loss_weight"] = (plan.mini_batch_size, 1)
        self._names = [name for name in training.list_arguments() if name not in inputs]
        self._trainer = training.simple_bind(
            mx.cpu(),
            grad_req=dict.fromkeys(inputs, "null") | dict.fromkeys(self._names, "write"),
            **inputs,
        )
        arguments, auxiliaries = networks.first_values(training, plan.seed, **inputs)
        self.set_values(
            {name: mx.nd.array(value) for name, value in arguments.items()},
            {name: mx.nd.array(value) for name, value in auxiliaries.items()},
        )
        self._shape = plan.image_shape
        self._updater = mx.optimizer.get_updater(_optimizer(plan, self._names))

    def set_rate(self, rate: float) -> None:
        self._updater.optimizer.set_learning_rate(rate)

    def learn(self, pictures: Any, labels: Any) -> Any:
        """One update from [N, 3, H, W] and [N]; gives the probabilities before it [N, classes]."""
        inputs = {"data": pictures, "softmax_label": labels}
        if self._class_weights is not None:
            weights = self._class_weights[labels.asnumpy().astype(int)]
            inputs["loss_weight"] = mx.nd.array(weights.reshape(-1, 1))
        self._trainer.forward(is_train=True, **inputs)
        self._trainer.backward()
        for number, name in enumerate(self._names):
            self._updater(number, self._trainer.grad_dict[name], self._trainer.arg_dict[name])
        return self._trainer.outputs[0].asnumpy()

    def classifier(self, batch: int) -> Classifier:
        """The network as it is now. MXNet folds batch norms into weights once, at the first call:
        an executor that classified before an update would go on with the weights of that time.
        """
        return Classifier(Model(self.symbol, *self.values(), self._shape), batch)

    def values(self) -> tuple[dict[str, Any], dict[str, Any]]:
        arguments = {name: self._trainer.arg_dict[name] for name in self._names}
        return arguments, dict(self._trainer.aux_dict)

    def set_values(self, arguments: dict[str, Any], auxiliaries: dict[str, Any]) -> None:
        self._trainer.copy_params_from(arguments, auxiliaries)

    def start_from(self, earlier: Model, *, new_last_layer: bool) -> None:
        """Take an earlier model's weights; raises RefusedError where they do not fit by name."""
        skipped = LAST_LAYER if new_last_layer else ()
        ours, theirs = self.values(), (earlier.arguments, earlier.auxiliaries)
        for own, given in zip(ours, theirs, strict=True):
            for name in sorted(set(own) | set(given)):
                if name in skipped:
                    continue
                if name not in own or name not in given or own[name].shape != given[name].shape:
                    raise RefusedError(_misfit(name, own.get(name), given.get(name)))
                own[name][:] = given[name]

    def optimizer_state(self) -> bytes:
        return bytes(self._updater.get_states(dump_optimizer=True))

    def set_optimizer_state(self, state: bytes) -> None:
        self._updater.set_states(state)


def balanced(labels: Any, classes: int) -> Any:
    """Weight of each class, inverse to its share [classes]; the mean over `labels` is 1."""
    counts = np.bincount(labels.astype(int), minlength=classes)
    return (len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))).astype(np.float32)


def _optimizer(plan: Hyperparameters, names: list[str]) -> Any:
    own = {
        "sgd": {"momentum": plan.momentum},
        "nag": {"momentum": plan.momentum},
        "adam": {"beta1": plan.beta_1, "beta2": plan.beta_2, "epsilon": plan.eps},
        "rmsprop": {"gamma1": plan.gamma, "epsilon": plan.eps},
    }[plan.optimizer]
    return mx.optimizer.create(
        plan.optimizer,
        learning_rate=plan.learning_rate,
        wd=plan.weight_decay,
        rescale_grad=1.0 / plan.mini_batch_size,
        param_idx2name=dict(enumerate(names)),
        **own,
    )


def _misfit(name: str, own: Any, given: Any) -> str:
    ours = "absent" if own is None else f"shape {tuple(own.shape)}"
    theirs = "absent" if given is None else f"shape {tuple(given.shape)}"
    advice = "num_layers, image_shape and num_classes must be those of the earlier training"
    if name in LAST_LAYER:
        advice = "num_classes differs; use_pretrained_model 1 starts with a new last layer"
    return f"channel 'model': {name} is {theirs} there and {ours} here: {advice}"
