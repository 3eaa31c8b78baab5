"""PyTorch's optimizers and gradient clipping: families "optim" and "optim_resume" of optim_cases.cpp.

A case reads `train(optim.Adam, lr=0.05, clip=lambda p: ..., schedule=lambda o: ..., groups={path: {...}})`.
The gradient of a parameter x at step t = 1, 2, ... is sin(3 x + 0.1 t).  A case with a state
(`const.state.PATH.NAME`) goes on from step 26 with it, any other begins at step 1.
"""
import inspect
import math
import warnings

import golden_format  # noqa: F401  before torch
import torch
from torch import optim
from torch.nn import utils
from torch.optim import lr_scheduler

FAMILIES = ("optim", "optim_resume")
STEPS, HALF, STORED = 50, 25, (1, 10, 50)
# The scheduler is moved on without steps of the optimizer when a training is resumed.
warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*before.*optimizer.step")
warnings.filterwarnings("ignore", message="The epoch parameter")


def noam(d_model, warm_up, rate, factor=1):
    """LambdaLR's factor of `rate` (Vaswani et al., 2017, equation 3)."""
    scale = factor * d_model ** -0.5 / rate
    return lambda epoch: scale * min((epoch + 1) ** -0.5, (epoch + 1) * warm_up ** -1.5)


def warm_up(optimizer, steps, after):
    """rate * s / steps until step `steps`, where `after` begins."""
    rising = lr_scheduler.LinearLR(optimizer, 1 / steps, total_iters=steps - 1)
    return lr_scheduler.SequentialLR(optimizer, [rising, after], [steps - 1])


def clip_grad_norm_(parameters, max_norm, norm_type=2.0):
    return utils.clip_grad_norm_(parameters, max_norm, norm_type, foreach=False)


def clip_grad_value_(parameters, value):
    utils.clip_grad_value_(parameters, value, foreach=False)


class Training:
    """Parameters by path under an optimizer."""

    def __init__(self, parameters, kind, clip=None, schedule=None, groups=None, **options):
        default = inspect.signature(kind).parameters
        rate = options.get("lr", default["lr"].default)
        per_path = {path: dict(group) for path, group in (groups or {}).items()}
        lists = []
        for path, parameter in parameters.items():
            group = per_path.pop(path, {})
            lists.append({"params": [parameter], "lr": rate * group.pop("factor", 1), **group})
        assert not per_path, per_path
        extra = {"fused": False} if "fused" in default else {}
        self.parameters = parameters
        self.optimizer = kind(lists, foreach=False, **extra, **options)
        self.scheduler = schedule(self.optimizer) if schedule else None
        self.clip = clip
        self.done = 0

    def steps(self, last):
        while self.done < last:
            self.done += 1
            for parameter in self.parameters.values():
                parameter.grad = torch.sin(parameter.detach() * 3 + self.done * 0.1)
            if self.clip:
                self.clip(list(self.parameters.values()))
            self.optimizer.step()
            if self.scheduler:
                self.scheduler.step()

    def values(self):
        return {path: parameter.detach().clone() for path, parameter in self.parameters.items()}

    def state(self):
        """State tensors by PATH.NAME, those that PyTorch has created."""
        return {f"{path}.{name}": torch.as_tensor(value).clone()
                for path, parameter in self.parameters.items()
                for name, value in self.optimizer.state[parameter].items() if value is not None}

    def resume(self, done, state):
        saved = self.optimizer.state_dict()
        for index, path in enumerate(self.parameters):
            found = {name.rpartition(".")[2]: value for name, value in state.items()
                     if name.rpartition(".")[0] == path}
            if found:
                saved["state"][index] = found
        self.optimizer.load_state_dict(saved)
        for _ in range(done if self.scheduler else 0):
            self.scheduler.step()
        self.done = done


def training_of(text, start):
    parameters = {path: torch.nn.Parameter(value.clone()) for path, value in start.items()}
    return run(text, train=lambda kind, **options: Training(parameters, kind, **options))


def evaluate(case, tensors):
    def under(prefix):
        return {name.removeprefix(prefix): value for name, value in tensors.items()
                if name.startswith(prefix)}

    if case["torch"].startswith("clip("):
        return clipped(case["torch"], under("param."), under("const."))
    return trained(training_of(case["torch"], under("param.")), under("const.state."))


def clipped(text, values, gradients):
    parameters = {path: torch.nn.Parameter(value.clone()) for path, value in values.items()}
    for path, parameter in parameters.items():
        parameter.grad = gradients[path].clone()
    norm = run(text, clip=lambda function: function(list(parameters.values())))
    results = {} if norm is None else {"out.0": norm}
    return results | {f"grad.param.{path}": parameter.grad for path, parameter in parameters.items()}


def trained(training, state):
    results = {}
    for until in [STEPS] if state else STORED:
        if state and training.done == 0:
            training.resume(HALF, state)
        training.steps(until)
        results.update({f"after.{until}.{path}": value for path, value in training.values().items()})
    if not state:
        results.update({f"out.state.{name}": value for name, value in training.state().items()
                        if not name.endswith(".step")})
    return results


def run(text, **names):
    names.update(math=math, optim=optim, lr_scheduler=lr_scheduler, noam=noam, warm_up=warm_up,
                 clip_grad_norm_=clip_grad_norm_, clip_grad_value_=clip_grad_value_)
    return eval(text, names)  # noqa: S307  our own expressions
