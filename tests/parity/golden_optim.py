"""PyTorch's optimizers in the middle of a training, for ours to continue: parameters and state after 25
steps, and the parameters after 50.  A case for each optimizer and set of state tensors, named as in
optim_cases.cpp.
"""
from golden_format import draw
import torch_optim

CASES = (
    "SGD(lr=0.1)",
    "SGD(lr=0.02, momentum=0.9, dampening=0.5, weight_decay=0.1)",
    "Adam(lr=0.05, weight_decay=0.1)",
    "Adam(lr=0.05, weight_decay=0.1, amsgrad=True, maximize=True)",
    "AdamW(lr=0.05, weight_decay=0.3)",
    "AdamW(lr=0.05, weight_decay=0.3, amsgrad=True)",
    "RMSprop(lr=0.02, weight_decay=0.1)",
    "RMSprop(weight_decay=0.1, momentum=0.8)",
    "RMSprop(lr=0.02, weight_decay=0.1, centered=True)",
    "RMSprop(weight_decay=0.1, momentum=0.8, centered=True)",
    "Adagrad(lr=0.1, lr_decay=0.1)",
)


def files():
    tensors = {}
    for case in CASES:
        parameters = {"p": draw("optim.p", 2, 3), "q": draw("optim.q", 4)}
        training = torch_optim.training_of(f"train(optim.{case.replace('(', ', ', 1)}", parameters)
        training.steps(torch_optim.HALF)
        tensors.update({f"{case}/param.{path}": value for path, value in training.values().items()})
        tensors.update({f"{case}/state.{name}": value for name, value in training.state().items()})
        training.steps(torch_optim.STEPS)
        tensors.update({f"{case}/after.{torch_optim.STEPS}.{path}": value
                        for path, value in training.values().items()})
    return {"optim_state": (tensors, {})}
