"""Golden trajectories of optimizers, of gradient clipping, and learning rates of schedules."""
import json
import math

from golden_format import draw
import torch
from torch import optim
from torch.optim import lr_scheduler as schedulers

STORED = (1, 10, 50)
SHAPES = {"p": (2, 3), "q": (4,)}
OPTIMIZERS = {
    "sgd": (optim.SGD, {"lr": 0.1}),
    "sgd_momentum": (optim.SGD, {"lr": 0.05, "momentum": 0.9}),
    "sgd_dampening": (optim.SGD, {"lr": 0.05, "momentum": 0.9, "dampening": 0.5}),
    "sgd_nesterov": (optim.SGD, {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    "sgd_weight_decay": (optim.SGD, {"lr": 0.1, "weight_decay": 0.1}),
    "sgd_nesterov_weight_decay": (optim.SGD, {"lr": 0.05, "momentum": 0.8, "nesterov": True,
                                              "weight_decay": 0.1}),
    "adam": (optim.Adam, {"lr": 0.05}),
    "adam_betas": (optim.Adam, {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-4}),
    "adam_weight_decay": (optim.Adam, {"lr": 0.05, "weight_decay": 0.1}),
    "adamw": (optim.AdamW, {"lr": 0.05}),
    "adamw_weight_decay": (optim.AdamW, {"lr": 0.05, "weight_decay": 0.3}),
    "adam_clip": (optim.Adam, {"lr": 0.05}),
}
CLIP_IN_ADAM = 0.5
RATE, WARMUP, STEPS, STEP_SIZE, GAMMA, LOWEST, WIDTH = 0.01, 10, 60, 15, 0.5, 0.001, 32


def start():
    return {name: draw("optim." + name, *shape) for name, shape in SHAPES.items()}


def trajectory(case, tensors):
    """50 steps with the gradient sin(3 p + 0.1 t), t = 1, 2, ..., of the parameter before the step."""
    kind, options = OPTIMIZERS[case]
    parameters = {name: torch.nn.Parameter(value) for name, value in start().items()}
    optimizer = kind(parameters.values(), foreach=False, **options)
    for t in range(1, STORED[-1] + 1):
        for parameter in parameters.values():
            parameter.grad = torch.sin(parameter.detach() * 3 + t * 0.1)
        if case == "adam_clip":
            torch.nn.utils.clip_grad_norm_(parameters.values(), CLIP_IN_ADAM)
        optimizer.step()
        if t in STORED:
            tensors.update({f"{case}.step{t}.{name}": p.detach().clone() for name, p in parameters.items()})


def clipped(case, max_norm, norm_type, scale, tensors):
    parameters = {name: torch.nn.Parameter(value) for name, value in start().items()}
    for name, parameter in parameters.items():
        parameter.grad = draw(f"clip.{name}", *parameter.shape) * scale
        tensors[f"{case}.grad.{name}"] = parameter.grad.clone()
    norm = torch.nn.utils.clip_grad_norm_(parameters.values(), max_norm, norm_type, foreach=False)
    tensors[f"{case}.norm"] = norm
    tensors.update({f"{case}.clipped.{name}": p.grad for name, p in parameters.items()})


def rates(lr, make):
    """The rate used at steps 1 ... STEPS, of PyTorch's own scheduler."""
    optimizer = optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = make(optimizer)
    values = []
    for _ in range(STEPS):
        values.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return values


def noam(step, factor):
    return factor * WIDTH ** -0.5 * min(step ** -0.5, step * WARMUP ** -1.5)


def schedules():
    """Closed forms (the rate is used at step s = 1, 2, ...), checked against PyTorch's schedulers."""
    def cosine(done, total):
        return LOWEST + (RATE - LOWEST) * (1 + math.cos(math.pi * done / total)) / 2

    def linear(optimizer):
        return schedulers.LinearLR(optimizer, start_factor=1 / WARMUP, total_iters=WARMUP - 1)

    def warmup_cosine(optimizer):
        decay = schedulers.CosineAnnealingLR(optimizer, STEPS - WARMUP, LOWEST)
        return schedulers.SequentialLR(optimizer, [linear(optimizer), decay], [WARMUP - 1])

    table = {
        "constant": ("lr", lambda s: RATE, lambda o: schedulers.ConstantLR(o, 1.0)),
        "linear_warmup": ("lr * min(1, s / warmup)", lambda s: RATE * min(1, s / WARMUP), linear),
        "step": ("lr * gamma ^ floor((s - 1) / step_size)", lambda s: RATE * GAMMA ** ((s - 1) // STEP_SIZE),
                 lambda o: schedulers.StepLR(o, STEP_SIZE, GAMMA)),
        "cosine": ("min + (lr - min) * (1 + cos(pi * (s - 1) / 60)) / 2", lambda s: cosine(s - 1, STEPS),
                   lambda o: schedulers.CosineAnnealingLR(o, STEPS, LOWEST)),
        "warmup_cosine": ("s <= warmup: lr * s / warmup; else min + (lr - min) * (1 + cos(pi * (s - warmup) "
                          "/ (60 - warmup))) / 2", lambda s: RATE * s / WARMUP if s <= WARMUP
                          else cosine(s - WARMUP, STEPS - WARMUP), warmup_cosine),
        "noam": ("factor * d_model^-0.5 * min(s^-0.5, s * warmup^-1.5), factor = 1", lambda s: noam(s, 1.0),
                 lambda o: schedulers.LambdaLR(o, lambda e: noam(e + 1, 1.0) / RATE)),
        "noam_factor2": ("as noam, factor = 2", lambda s: noam(s, 2.0),
                         lambda o: schedulers.LambdaLR(o, lambda e: noam(e + 1, 2.0) / RATE)),
    }
    tensors, metadata = {}, {}
    for name, (formula, closed, make) in table.items():
        values = [float(closed(step)) for step in range(1, STEPS + 1)]
        for step, (a, b) in enumerate(zip(values, rates(RATE, make)), 1):
            assert abs(a - b) <= 1e-14, (name, step, a, b)
        tensors[f"schedule.{name}"] = torch.tensor(values, dtype=torch.float64)
        metadata[f"schedule.{name}"] = formula
    metadata["schedule"] = json.dumps({"lr": RATE, "warmup": WARMUP, "step_size": STEP_SIZE, "gamma": GAMMA,
                                       "min": LOWEST, "d_model": WIDTH, "steps": STEPS})
    return tensors, metadata


def files():
    tensors = {f"start.{name}": value for name, value in start().items()}
    metadata = {"gradient": "g_t = sin(3 * p + 0.1 * t) elementwise, t = 1, 2, ..., p before the step"}
    for case, (kind, options) in OPTIMIZERS.items():
        trajectory(case, tensors)
        extra = {"clip_grad_norm": CLIP_IN_ADAM} if case == "adam_clip" else {}
        metadata[case] = json.dumps({"optimizer": kind.__name__, **options, **extra})
    for case, max_norm, norm_type, scale in (("clip_above", 1.0, 2.0, 3.0), ("clip_below", 100.0, 2.0, 3.0),
                                             ("clip_inf", 0.5, math.inf, 1.0), ("clip_one", 0.5, 1.0, 1.0),
                                             ("clip_zero", 1.0, 2.0, 0.0)):
        clipped(case, max_norm, norm_type, scale, tensors)
        metadata[case] = f"max_norm={max_norm} norm_type={norm_type}"
    rate_tensors, rate_metadata = schedules()
    return {"optim": (tensors | rate_tensors, metadata | rate_metadata)}
