"""side_by_side.py ROOT [--write] [--others FOLDER]: the line counts of "Side by side" in docs/design.md.

A piece is a function or class, from the line that begins with the text given here to its closing brace (in
Python, to the end of its block). Blank lines, comments and docstrings do not count, nor does `template <...>`
on a line of its own above a piece. The library's counts must stand in the table; --write puts them there.
With --others, FOLDER/micrograd, FOLDER/math (stan), FOLDER/mlx and FOLDER/flashlight are counted, too.
"""
import argparse
import pathlib
import re
import sys

OURS = {
    "tanh": [("autograd/ops/activation.h", "Var tanh("), ("autograd/ops/activation.cpp", "Var tanh(")],
    "softmax": [("autograd/ops/softmax.h", "Var softmax("), ("autograd/ops/softmax.cpp", "struct Softmax "),
                ("autograd/ops/softmax.cpp", "Var softmax(")],
    "softmax, kernel": [("autograd/kernels/softmax.cpp", "void softmax("),
                        ("autograd/kernels/softmax.cpp", "void softmax_backward(")],
    "reverse loop": [("autograd/backward/backward.cpp", f"{result} BackwardPass::{name}(")
                     for result, name in (("Gradients", "walk_back"), ("void", "step"), ("bool", "arrived"),
                                          ("void", "transient_pullback"), ("void", "add_to"),
                                          ("void", "meet_leaf"))],
    "linear layer": [("nn/linear.cpp", "Parameter make_bias("),
                     ("nn/linear.cpp", "Linear::Linear(const Scope& scope, Index in"),
                     ("nn/linear.cpp", "Var Linear::forward("), ("nn/linear.h", "struct Linear :")],
    "linear op": [("autograd/ops/linear.cpp", "struct Linear "), ("autograd/ops/linear.cpp", "Var linear("),
                  ("autograd/ops/linear.cpp", "Shape linear_shape(")],
    "multi-head attention": [("nn/attention.cpp", f"{result} MultiHeadAttention::{name}(")
                             for result, name in (("AttentionResult", "forward"), ("Projections", "project"),
                                                  ("Heads", "split"), ("AttentionResult", "attend"),
                                                  ("Var", "merge"))],
    "attention, forward and backward equation": [
        ("autograd/ops/attention/equation.cpp", "AttentionSteps attention_equation("),
        ("autograd/ops/attention/backward_equation.cpp", "AttentionGradients attention_backward_equation(")],
    "Adam": [("optim/adam.cpp", "Adam::Adam("), ("optim/adam.cpp", "void Adam::update("),
             ("optim/adam.h", "class Adam ")],
    "Adam, kernel": [("autograd/kernels/adam.cpp", "void adam(")],
}

REV, PRIM = "math/stan/math/rev/fun", "math/stan/math/prim/fun"
MLX, LAYERS = "mlx/mlx", "mlx/python/mlx/nn/layers"
FL = "flashlight/flashlight/fl"
OTHERS = {
    "tanh": {
        "micrograd (relu)": [("micrograd/micrograd/engine.py", "def relu(")],
        "stan": [(f"{REV}/tanh.hpp", "inline var tanh("), (f"{REV}/tanh.hpp", "inline auto tanh("),
                 (f"{PRIM}/tanh.hpp", "struct tanh_fun"), (f"{PRIM}/tanh.hpp", "inline auto tanh(")],
        "mlx": [(f"{MLX}/primitives.h", "class Tanh "), (f"{MLX}/ops.cpp", "array tanh("),
                (f"{MLX}/primitives.cpp", "std::vector<array> Tanh::vjp("),
                (f"{MLX}/primitives.cpp", "std::vector<array> Tanh::jvp("),
                (f"{MLX}/backend/cpu/unary.cpp", "void Tanh::eval_cpu(")],
        "flashlight": [(f"{FL}/autograd/Functions.cpp", "Variable tanh("),
                       (f"{FL}/tensor/TensorBase.cpp", "Tensor tanh("),
                       (f"{FL}/tensor/backend/onednn/OneDnnBackend.cpp", "Tensor OneDnnBackend::tanh(")],
    },
    "softmax": {
        "stan": [(f"{REV}/softmax.hpp", "inline auto softmax("),
                 (f"{PRIM}/softmax.hpp", "inline plain_type_t<ColVec> softmax(")],
        "mlx": [(f"{MLX}/primitives.h", "class Softmax "), (f"{MLX}/ops.cpp", "array softmax("),
                (f"{MLX}/primitives.cpp", "std::vector<array> Softmax::vjp("),
                (f"{MLX}/primitives.cpp", "std::vector<array> Softmax::jvp(")],
        "flashlight": [(f"{FL}/autograd/Functions.cpp", "Variable softmax(")],
    },
    "softmax, kernel": {
        "mlx": [(f"{MLX}/backend/cpu/softmax.cpp", "void softmax("),
                (f"{MLX}/backend/cpu/softmax.cpp", "void Softmax::eval_cpu(")],
    },
    "reverse loop": {
        "micrograd": [("micrograd/micrograd/engine.py", "def backward(")],
        "stan": [("math/stan/math/rev/core/grad.hpp", "static void grad()"),
                 ("math/stan/math/rev/core/grad.hpp", "static void grad(Vari")],
        "mlx": [(f"{MLX}/transforms.cpp", "std::pair<std::vector<array>, std::vector<array>> vjp(")],
        "flashlight": [(f"{FL}/autograd/Variable.cpp", f"{result} Variable::{name}(")
                       for result, name in (("void", "backward"), ("Variable::DAG", "build"),
                                            ("void", "calcGradInputs"), ("void", "addGrad"))],
    },
    "linear layer": {
        "micrograd": [("micrograd/micrograd/nn.py", "class Neuron("),
                      ("micrograd/micrograd/nn.py", "class Layer(")],
        "mlx": [(f"{LAYERS}/linear.py", "def __init__(self, input_dims: int, output_dims: int, bias: bool ="),
                (f"{LAYERS}/linear.py", "def __call__(self, x: mx.array)")],
        "flashlight": [(f"{FL}/nn/modules/Linear.cpp", "Linear::Linear(int"),
                       (f"{FL}/nn/modules/Linear.cpp", "Variable Linear::forward("),
                       (f"{FL}/nn/modules/Linear.cpp", "void Linear::initialize("),
                       (f"{FL}/nn/modules/Linear.h", "class FL_API Linear ")],
    },
    "linear op": {
        "stan": [(f"{REV}/multiply.hpp", "inline auto multiply(")],
        "flashlight": [(f"{FL}/autograd/Functions.cpp", "Variable linear(const Variable& in,")],
    },
    "multi-head attention": {
        "mlx": [(f"{LAYERS}/transformer.py", "def __call__(self, queries, keys, values, mask=None)")],
        "flashlight": [(f"{FL}/autograd/Functions.cpp", "fl::Variable multiheadAttention("),
                       (f"{FL}/contrib/modules/Transformer.cpp", "Variable Transformer::selfAttention(")],
    },
    "attention, forward and backward equation": {
        "mlx (forward alone)": [(f"{MLX}/fast.cpp", "array scaled_dot_product_attention(")],
    },
    "Adam": {
        "mlx": [("mlx/python/mlx/optimizers/optimizers.py", "class Adam(")],
        "flashlight": [(f"{FL}/optim/AdamOptimizer.cpp", "AdamOptimizer::AdamOptimizer("),
                       (f"{FL}/optim/AdamOptimizer.cpp", "void AdamOptimizer::step("),
                       (f"{FL}/optim/AdamOptimizer.h", "class FL_API AdamOptimizer ")],
    },
}


def python_block(lines):
    """The first line and what is indented deeper, without docstrings."""
    indent = len(lines[0]) - len(lines[0].lstrip())
    depth = 0
    for at, line in enumerate(lines):
        closed = at > 0 and depth == 0
        if closed and line.strip() and len(line) - len(line.lstrip()) <= indent:
            lines = lines[:at]
            break
        depth += sum(line.count(c) for c in "([") - sum(line.count(c) for c in ")]")
    return re.sub(r'r?""".*?"""', "", "\n".join(lines), flags=re.S).split("\n")


def cpp_block(lines):
    """To the brace that closes the first one, or to the `;` of a declaration."""
    depth, opened = 0, False
    for at, line in enumerate(lines):
        bare = re.sub(r'"(\\.|[^"])*"|//.*|/\*.*?\*/|\'[{}]\'', "", line)
        depth += bare.count("{") - bare.count("}")
        opened = opened or "{" in bare
        if depth == 0 and (opened or ";" in bare):
            return lines[:at + 1]
    return lines


def count(root, pieces):
    """Lines of code of all pieces; None when one is missing."""
    total = 0
    for path, begin in pieces:
        file = root / path
        lines = file.read_text(encoding="utf-8").split("\n") if file.is_file() else []
        start = next((at for at, line in enumerate(lines) if line.strip().startswith(begin)), None)
        if start is None:
            print(f"{path}: no line begins with `{begin}`")
            return None
        block = (python_block if path.endswith(".py") else cpp_block)(lines[start:])
        code = re.sub(r"/\*.*?\*/", "", "\n".join(block), flags=re.S).split("\n")
        total += sum(1 for line in code if line.strip() and not re.match(r"\s*(//|#)", line))
    return total


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("root", type=pathlib.Path)
    arguments.add_argument("--write", action="store_true")
    arguments.add_argument("--others", type=pathlib.Path)
    given = arguments.parse_args()
    page = given.root / "docs/design.md"
    text, bad = page.read_text(encoding="utf-8"), False
    for name, pieces in OURS.items():
        lines = count(given.root, pieces)
        row = re.search(rf"^\| {re.escape(name)} \| (\d+) ", text, re.M)
        if given.write and row and lines is not None:
            text = text[:row.start(1)] + str(lines) + text[row.end(1):]
        elif lines is None or row is None:
            print(f"FAIL: `{name}` lacks a piece in the tree, or a row in docs/design.md")
            bad = True
        elif int(row[1]) != lines:
            print(f"FAIL: docs/design.md: the row `{name}` must say {lines}; --write puts it there")
            bad = True
        others = OTHERS.get(name, {}) if given.others else {}
        counts = [f"{who} {count(given.others, theirs)}" for who, theirs in others.items()]
        print(f"{name}: {lines}", *counts, sep=", ")
    if given.write:
        page.write_text(text, encoding="utf-8")
    sys.exit(bad)


if __name__ == "__main__":
    main()
