"""check_layers.py ROOT: no layer without a parity case, and no option that no case sets.

Every class of nn/ that is built in a Scope (a Layer<...>, what derives from one, or like FeedForward a part
of one) needs a `layer_case<Class>("Class: ...", ...)` in tests/parity/layer_cases*.cpp; every field of the
options structs beside it a case that sets it to something else than its default, written out as
`ClassOptions{.field = ...}`; and every default argument of its constructors, but for such options, a call
`Class(s, ...)` with all arguments in which it is something else.
"""
import pathlib
import re
import sys

CASE = re.compile(r"layer_case<(\w+)(?:<\w+>)?>\s*\(\s*(?:fmt::format\s*\(\s*)?\"([^\"]*)\"")
CLASS = re.compile(r"\b(?:struct|class)\s+(\w+)(?:\s+final)?\s*(?::([^;{()]*))?\{")
ADVICE = "see tests/parity/layer_case.h and README.md, then tests/parity/make_golden.py"


def without_comments(text):
    return re.sub(r"//[^\n]*", "", text)


def block(text, begin):
    """The text inside the brackets that open at `begin`."""
    depth, (opens, closes) = 0, {"{": "{}", "(": "()"}[text[begin]]
    for at in range(begin, len(text)):
        depth += (text[at] == opens) - (text[at] == closes)
        if depth == 0:
            return text[begin + 1:at]
    return text[begin + 1:]


def split(text, separator):
    """Parts at `separator` outside of all brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "<({[") - (character in ">)}]")
        if character == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def bases_of(header):
    """Class -> its base classes, without namespaces and template arguments."""
    found = {}
    for match in CLASS.finditer(header):
        bases = [re.sub(r"<.*", "", base, flags=re.DOTALL) for base in split(match[2] or "", ",")]
        found.setdefault(match[1], set()).update(re.findall(r"\w+", base)[-1] for base in bases)
    return found


def derives(name, bases, seen=()):
    """True when `name` is a Layer, directly or indirectly."""
    return name == "Layer" or name not in seen and any(derives(base, bases, (*seen, name))
                                                      for base in bases.get(name, ()))


def constructors_of(name, body):
    """Parameters of every constructor that takes a Scope."""
    for match in re.finditer(rf"\b{name}(?=\((?:const\s+)?(?:\w+::)*Scope\b)", body):
        yield split(block(body, match.end()), ",")


def layers_of(header, bases):
    """(class, body) of all that are built in a Scope. `bases`: those of every header."""
    for match in CLASS.finditer(header):
        name, body = match[1], block(header, match.end() - 1)
        if name != "Layer" and (derives(name, bases) or any(constructors_of(name, body))):
            yield name, body


def calls_of(name, source):
    """Arguments of every call of `name`."""
    return [split(block(source, match.end() - 1), ",") for match in re.finditer(rf"\b{name}\(", source)]


def unseen_defaults(name, parameters, source):
    """Default arguments for which no call that gives them all gives another value."""
    full = [call for call in calls_of(name, source) if len(call) == len(parameters)]
    for i, parameter in enumerate(parameters):
        declared, _, default = (part.strip() for part in parameter.partition("="))
        declaration = re.match(r"\w.*[\s&*]\w+$", declared, re.DOTALL)  # and no argument of a call
        if not declaration or re.search(r"Options\s*&?\s*\w+$", declared):  # of options the fields count
            continue
        if default and not any(call[i] != default for call in full):
            yield declared.split()[-1].lstrip("&*"), default


def options_of(header):
    """(struct, field, default) of every field of the options structs."""
    for match in CLASS.finditer(header):
        if not match[1].endswith("Options"):
            continue
        for statement in split(block(header, match.end() - 1), ";"):
            for part in split(statement, ","):
                field, _, default = part.partition("=")
                yield match[1], field.split()[-1], " ".join(default.split())


def set_in(source):
    """(struct, field) -> the values that are written out."""
    found = {}
    for match in re.finditer(r"\b(\w+Options)\s*\{", source):
        for part in split(block(source, match.end() - 1), ","):
            field = re.match(r"\.(\w+)\s*=\s*(.*)", part, re.DOTALL)
            if field:
                found.setdefault((match[1], field[1]), set()).add(" ".join(field[2].split()))
    return found


def problems(headers, sources):
    """headers, sources: {path: text}."""
    text = without_comments("\n".join(sources.values()))
    code = re.sub(r'"[^"\n]*"', '""', text)  # Python calls layers too
    cases = CASE.findall(text)
    covered = {layer for layer, _ in cases}
    for layer, name in cases:
        if name != layer and not name.startswith(f"{layer}: "):
            yield f"the case \"{name}\" of {layer} must be called \"{layer}\" or \"{layer}: what is special\""
    values = set_in(text)
    headers = {path: without_comments(header) for path, header in headers.items()}
    bases = bases_of("\n".join(headers.values()))
    for path, header in headers.items():
        layers = dict(layers_of(header, bases))
        for layer, body in layers.items():
            if layer not in covered:
                yield (f"{path}: {layer} has no parity case: add layer_case<{layer}>(\"{layer}\", "
                       f"\"nn.…\", \"m(a)\", [](const Scope& s) {{ return {layer}(s, …); }}, …) to "
                       f"tests/parity/layer_cases_*.cpp; {ADVICE}")
            for parameters in constructors_of(layer, body):
                for name, default in unseen_defaults(layer, parameters, code):
                    yield (f"{path}: no parity case gives the argument {name} of {layer} something else than "
                           f"its default ({default}): add one whose {layer}(…) gives all "
                           f"{len(parameters)} arguments; {ADVICE}")
        for struct, field, default in options_of(header) if layers else []:
            if not values.get((struct, field), set()) - {default}:
                yield (f"{path}: no parity case sets {struct}::{field} to something else than its default "
                       f"({default or 'none'}): add one that says {struct}{{.{field} = …}}; {ADVICE}")


HEADER = """
struct ConvOptions { Index stride = 1, pad = 0;  ///< a comment; with = signs
  std::map<int, int> extra = {}; Padding padding{}; };
struct Conv final : public Layer<Conv> { Conv(const Scope& scope, const ConvOptions& options = {}); };
template <class T>
class Block { template <class F> Block(const Scope& scope, F f); };
struct Free { int x; };"""
SOURCE = """layer_case<Conv>("Conv: strided", f(ConvOptions{.stride = 2, .pad = 0, .extra = {{1, 2}}}))
  layer_case<Conv>(fmt::format("Block: {}", 1))"""
# Mistakes to find: a header, the cases, and the beginnings of all complaints.
FORGOTTEN = (
    ("struct Gate : Layer<Gate> { Gate(Scope scope); };", "", ["Gate has no"]),
    ("struct Gate { explicit Gate(tapegrad::Scope scope, Index n); };", "", ["Gate has no"]),
    ("struct GateBase : Layer<GateBase> {};\nstruct Gate3 : public tapegrad::GateBase { Gate3(); };",
     'layer_case<GateBase>("GateBase")', ["Gate3 has no"]),
    ("template <class D> struct Unit : Layer<D> {};\nstruct A : Other, Unit<A> {};\nclass B : A {};",
     'layer_case<Unit>("Unit") layer_case<A>("A")', ["B has no"]),
    ("struct Gate : Layer<Gate> { Gate(const Scope& scope, Index n, bool hard = false); };",
     'layer_case<Gate>("Gate", Gate(s, 3), Gate(s, 3, false), "Gate(s, 3, true)")',
     ["no parity case gives the argument hard of Gate"]),
    ("struct Gate : Layer<Gate> { Gate(const Scope& s, double e = 1e-6, const Map<int, int>& map = {}); };",
     'layer_case<Gate>("Gate", Gate(s, 0.1), Gate(s, 0.1, {}))',
     ["no parity case gives the argument map of Gate"]),
    ("struct Gate : Layer<Gate> { Gate(const Scope& scope, const GateConfig& config = {}); };",
     'layer_case<Gate>("Gate", Gate(s), Gate(s, {}))', ["no parity case gives the argument config of Gate"]),
    ("struct Gate : Layer<Gate> { Gate(const Scope& scope, bool hard = false); };",
     'layer_case<Gate>("Gate", Gate(s, true))', []),
)


def check_itself():
    """The rules find planted mistakes."""
    fewer = HEADER.replace("Padding padding{}; ", "")
    found = "\n".join(problems({"nn/conv.h": fewer}, {"cases.cpp": SOURCE}))
    assert found.count("\n") == 2, found
    assert 'the case "Block: {}" of Conv' in found and "Block has no parity case" in found, found
    assert "sets ConvOptions::pad to something else than its default (0)" in found, found
    rest = "\n".join(problems({"nn/conv.h": HEADER}, {"cases.cpp": ""}))
    assert "Conv has no" in rest and "ConvOptions::stride" in rest and "Free" not in rest, rest
    for header, source, expected in FORGOTTEN:
        found = list(problems({"nn/x.h": header}, {"cases.cpp": source}))
        assert len(found) == len(expected), (header, found)
        for complaint, begin in zip(found, expected):
            assert complaint.startswith(f"nn/x.h: {begin}"), (header, complaint)


def main(root):
    check_itself()
    headers = {str(path.relative_to(root)): path.read_text(encoding="utf-8")
               for path in sorted((root / "nn").rglob("*.h"))}
    sources = {path.name: path.read_text(encoding="utf-8")
               for path in sorted((root / "tests/parity").glob("layer_cases*.cpp"))}
    found = list(problems(headers, sources))
    text = without_comments("\n".join(headers.values()))
    layers = list(layers_of(text, bases_of(text)))
    print("\n".join(f"FAIL: {problem}" for problem in found)
          or f"PASS: {len(layers)} layers have cases and every option is set in one")
    sys.exit(bool(found))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
