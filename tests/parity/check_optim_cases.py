"""check_optim_cases.py ROOT: every optimizer, every option and every schedule is compared with PyTorch.

Reads optim/*.h: classes derived from Optimizer, the fields of their options, the functions that give a
Schedule or clip, with their default arguments; and the cases in tests/parity.  Prints the options
that no case sets to another value than the default, with the case to write.
"""
import pathlib
import re
import sys

from check_layers import block, split, unseen_defaults

CASES = "tests/parity/optim_cases.cpp"
RATES = "tests/parity/schedule_cases.cpp"
AFTER = "then write the golden files again: python3 tests/parity/make_golden.py (needs PyTorch)"


def bare(text):
    """Without comments and the content of strings."""
    return re.sub(r'"[^"\n]*"', '""', re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S))


def derived(headers):
    """Classes that are an Optimizer, directly or not."""
    bases = dict(re.findall(r"\b(?:class|struct)\s+(\w+)(?:\s+final)?\s*:\s*(?:public\s+)?(?:\w+::)*(\w+)",
                            headers))
    found = set()
    for name in bases:
        base = name
        while base in bases:
            base = bases[base]
            if base == "Optimizer":
                found.add(name)
    return sorted(found)


def fields(headers, struct):
    """(name, default) of every field of a struct."""
    body = re.search(rf"struct\s+{struct}\s*\{{(.*?)\n\}};", headers, re.S)
    if not body:
        return []
    found = []
    for declaration in body.group(1).split(";"):
        declaration = re.sub(r"<[^<>]*>", "", declaration)  # template arguments
        head = re.match(r"\s*[\w:]+\s+(?=\w+\s*(=|,|$|\{))", declaration)
        for part in declaration[head.end():].split(",") if head else ():
            name, _, default = part.partition("=")
            found.append((name.strip().split("{")[0], default.strip()))
    return found


def values_set(text):
    """(field, value) pairs of designated initializers."""
    return re.findall(r"\.(\w+)\s*=\s*([^,{}]+)", text)


def same(value, default):
    try:
        return float(value) == float(default)
    except ValueError:
        return value.strip() == default


def without(declared, given):
    """Fields that nothing given sets to another value than the default."""
    return [field for field, default in declared
            if not any(name == field and not same(value, default) for name, value in given)]


def functions(headers, head):
    """(name, parameters) of every function that is declared so."""
    for match in re.finditer(rf"^{head}(?=\()", headers, re.M):
        yield match[1], split(block(headers, match.end()), ",")


def arguments(name, parameters, source, path):
    """Default arguments that no case gives another value."""
    for argument, default in unseen_defaults(name, parameters, source):
        yield (f"{name}: no case gives {argument} another value than its default ({default}); write one with "
               f"all {len(parameters)} arguments in {path}, {AFTER}")


def problems(headers, cases, rates):
    headers, cases, rates = bare(headers), bare(cases), bare(rates)
    given = {}
    for name, options in re.findall(r"\bof<(\w+)>\(\s*\{([^{}]*)\}", cases):
        given.setdefault(name, []).extend(values_set(options))
        given[name].append(("", ""))
    for name in derived(headers):
        if name not in given:
            yield (f"{name}: no case; write of<{name}>({{...}}) in {CASES} and its Torch<{name}> in "
                   f"tests/parity/optim_torch.h, {AFTER}")
            continue
        options = re.search(rf"\b{name}\(const (\w+)&", headers)
        if not options or not fields(headers, options.group(1)):
            yield f"{name}: no options found; its constructor takes `const {name}Options& options`"
            continue
        for field in without(fields(headers, options.group(1)), given[name]):
            yield (f"{options.group(1)}::{field}: no case sets it to another value than its default; write "
                   f"of<{name}>({{.{field} = ...}}) in {CASES}, {AFTER}")
    groups = " ".join(re.findall(r"\.groups\s*=(.*?)\)", cases, re.S))
    for field in without(fields(headers, "GroupOptions"), values_set(groups)):
        yield f"GroupOptions::{field}: no case sets it in its .groups in {CASES}, {AFTER}"
    for name, parameters in functions(headers, r"Schedule (\w+)"):
        if not re.search(rf"[,\s]{name}\(", rates):
            yield f'{name}: no case; write rates("...", {name}(...)) in {RATES}, {AFTER}'
        else:
            yield from arguments(name, parameters, rates, RATES)
    for name, parameters in functions(headers, r"\w+ (clip_\w+)"):
        if not re.search(rf"\b{name}\(", cases):
            yield f"{name}: no case; write one in {CASES}, {AFTER}"
        else:
            yield from arguments(name, parameters, cases, CASES)
    for name in derived(headers):
        for match in re.finditer(rf"\b{name}(?=\()", headers):
            parameters = split(block(headers, match.end()), ",")
            for argument, default in unseen_defaults(name, parameters, ""):
                yield (f"{name}: its argument {argument} has a default ({default}) that no case can change; "
                       "make it a field of its options")


# Omissions to find, each with the beginning of the complaint.
FORGOTTEN = {
    "class Lion : public Optimizer {\n};": "Lion: no case;",
    "class Fast : public SGD {\n};": "Fast: no case;",
    "class Faster : public Fast {\n};\nclass Fast final : public tapegrad::Adam {\n};": "Fast: no case;",
    "Schedule triangle(double rate);": "triangle: no case;",
    "void clip_each(const Gradients& gradients);": "clip_each: no case;",
}
NEW_FIELDS = {
    "struct SGDOptions {": "SGDOptions::lasso: no case",
    "struct AdamWOptions {": "AdamWOptions::lasso: no case",
    "struct GroupOptions {": "GroupOptions::lasso: no case",
}
NEW_ARGUMENTS = {
    "noam": "noam: no case gives hard",
    "constant_rate": "constant_rate: no case gives hard",
    "one_cycle": "one_cycle: no case gives hard",
    "clip_grad_value": "clip_grad_value: no case gives hard",
    "explicit SGD": "SGD: its argument hard has a default (false)",
}
DECLARED = ("double lasso = 0;", "double ridge = 1, lasso = 0.5;",
            "std::optional<double> lasso = std::nullopt;")


def self_test(headers, cases, rates):
    """Yields planted omissions that the scan overlooks."""
    wrong = [(headers + "\n" + text, cases, rates, begin) for text, begin in FORGOTTEN.items()]
    for struct, begin in NEW_FIELDS.items():
        for declared in DECLARED:
            wrong.append((headers.replace(struct, f"{struct}\n  {declared}"), cases, rates, begin))
    for function, begin in NEW_ARGUMENTS.items():
        declared = re.search(rf"\b{function}\([^;]*\)(?=;)", headers)[0]
        wrong.append((headers.replace(declared, f"{declared[:-1]}, bool hard = false)"), cases, rates, begin))
    no_amsgrad = cases.replace(".amsgrad = true", ".amsgrad = false")
    wrong.append((headers, no_amsgrad, rates, "AdamOptions::amsgrad"))
    wrong.append((headers, cases.replace("of<Adagrad>", "// of<Adagrad>"), rates, "Adagrad: no case"))
    wrong.append((headers, cases, rates.replace("noam(32", "sudoku(32"), "noam: no case"))
    no_factor = rates.replace("noam(32, 10, 2)", "noam(32, 10, 1)")
    wrong.append((headers, cases, no_factor, "noam: no case gives factor another value than its default (1)"))
    for *texts, begin in wrong:
        if not any(problem.startswith(begin) for problem in problems(*texts)):
            yield f"the scan overlooks what should read `{begin} ...`"


def main():
    root = pathlib.Path(sys.argv[1])
    headers = "\n".join(path.read_text(encoding="utf-8") for path in sorted((root / "optim").glob("*.h")))
    cases, rates = ((root / path).read_text(encoding="utf-8") for path in (CASES, RATES))
    found = [*problems(headers, cases, rates), *self_test(headers, cases, rates)]
    for problem in found:
        print(f"FAIL: {problem}")
    optimizers = derived(bare(headers))
    count = sum(len(fields(bare(headers), f"{name}Options")) for name in optimizers)
    if len(optimizers) < 5 or count < 30:
        found.append("")
        print(f"FAIL: the scan finds only {count} options of {', '.join(optimizers)}")
    if not found:
        print(f"PASS: {len(optimizers)} optimizers, {count} options, every schedule and clipping have cases")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
