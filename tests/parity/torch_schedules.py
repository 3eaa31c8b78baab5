"""Rates of steps 1 to 60 by PyTorch's schedulers: family "schedules" of schedule_cases.cpp.

`rates(lr, FIRST, (MILESTONE, SECOND))` is SequentialLR's cut.  Several of PyTorch's schedulers go from rate
to rate by multiplying, which gathers rounding errors of some 1e-14; all of those know their closed form too,
and that is compared.  Both must agree.
"""
import math
import warnings

import golden_format  # noqa: F401  before torch
import torch
from torch import optim
from torch.optim import lr_scheduler

STEPS = 60
warnings.filterwarnings("ignore", message="The epoch parameter")
warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*before.*optimizer.step")


def noam(step, d_model, warm_up):
    return d_model ** -0.5 * min(step ** -0.5, step * warm_up ** -1.5)


def optimizer_of(rate):
    return optim.SGD([torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))], lr=rate)


def stepwise(optimizer, scheduler, count):
    rates = []
    for _ in range(count):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return rates


def closed(rate, make, count):
    """The rates of a new scheduler by its closed form."""
    optimizer = optimizer_of(rate)
    scheduler = make(optimizer)
    if not hasattr(scheduler, "_get_closed_form_lr"):  # it computes every rate directly
        return stepwise(optimizer, scheduler, count)
    rates = []
    for epoch in range(count):
        scheduler.last_epoch = epoch
        rates.append(float(scheduler._get_closed_form_lr()[0]))
    return rates


def rates(rate, first, *later):
    parts = [(0, first), *later]
    ends = [milestone for milestone, _ in later] + [STEPS]
    exact = [value for (begin, make), end in zip(parts, ends) for value in closed(rate, make, end - begin)]
    optimizer = optimizer_of(rate)
    schedulers = [make(optimizer) for _, make in parts]
    chain = lr_scheduler.SequentialLR(optimizer, schedulers, ends[:-1]) if later else schedulers[0]
    used = stepwise(optimizer, chain, STEPS)
    assert max(abs(a - b) for a, b in zip(exact, used)) <= 1e-13 * max(exact), (exact, used)
    return exact


def evaluate(case, tensors):
    names = {name: value for name, value in vars(lr_scheduler).items()
             if name.endswith("LR") or "Cosine" in name}
    found = eval(case["torch"], {**names, "math": math, "noam": noam, "rates": rates})  # noqa: S307
    return {"out.0": torch.tensor(found, dtype=torch.float64).to(tensors["out.0"].dtype)}
