"""check_layers.py ROOT: no layer without a parity case, and no option that no case sets.

Every class of nn/ that is built in a Scope (a Layer<...>, or like FeedForward a part of one) needs a
`layer_case<Class>("Class: ...", ...)` in tests/parity/layer_cases*.cpp, and every field of the options
structs beside it a case that sets it to something else than its default, written out as
`ClassOptions{.field = ...}`.
"""
import pathlib
import re
import sys

CASE = re.compile(r"layer_case<(\w+)(?:<\w+>)?>\s*\(\s*(?:fmt::format\s*\(\s*)?\"([^\"]*)\"")
CLASS = re.compile(r"\b(?:struct|class)\s+(\w+)(?:\s+final)?\s*(?::[^;{()]*)?\{")
ADVICE = "see tests/parity/layer_case.h and README.md, then tests/parity/make_golden.py"


def without_comments(text):
    return re.sub(r"//[^\n]*", "", text)


def block(text, begin):
    """What stands in the braces that open at `begin`."""
    depth = 0
    for at in range(begin, len(text)):
        depth += (text[at] == "{") - (text[at] == "}")
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


def layers_of(header):
    """Classes that are built in a Scope."""
    for match in CLASS.finditer(header):
        name, body = match[1], block(header, match.end() - 1)
        derived = re.search(rf"\bLayer<\s*{name}\s*>", match[0])
        if derived or re.search(rf"\b{name}\(const Scope&", body):
            yield name


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
    text = "\n".join(sources.values())
    cases = CASE.findall(text)
    covered = {layer for layer, _ in cases}
    for layer, name in cases:
        if name != layer and not name.startswith(f"{layer}: "):
            yield f"the case \"{name}\" of {layer} must be called \"{layer}\" or \"{layer}: what is special\""
    values = set_in(text)
    for path, header in headers.items():
        header = without_comments(header)
        layers = list(layers_of(header))
        for layer in layers:
            if layer not in covered:
                yield (f"{path}: {layer} has no parity case: add layer_case<{layer}>(\"{layer}\", "
                       f"\"nn.…\", \"m(a)\", [](const Scope& s) {{ return {layer}(s, …); }}, …) to "
                       f"tests/parity/layer_cases_*.cpp; {ADVICE}")
        for struct, field, default in options_of(header) if layers else []:
            if not values.get((struct, field), set()) - {default}:
                yield (f"{path}: no parity case sets {struct}::{field} to something else than its default "
                       f"({default or 'none'}): add one that says {struct}{{.{field} = …}}; {ADVICE}")


def check_itself():
    """The rules find what they are for."""
    header = """
    struct ConvOptions { Index stride = 1, pad = 0;  ///< a comment; with = signs
      std::map<int, int> extra = {}; Padding padding{}; };
    struct Conv final : public Layer<Conv> { Conv(const Scope& scope, const ConvOptions& options); };
    template <class T>
    class Block { template <class F> Block(const Scope& scope, F f); };
    struct Free { int x; };"""
    source = """layer_case<Conv>("Conv: strided", f(ConvOptions{.stride = 2, .pad = 0, .extra = {{1, 2}}}))
      layer_case<Conv>(fmt::format("Block: {}", 1))"""
    fewer = header.replace("Padding padding{}; ", "")
    found = "\n".join(problems({"nn/conv.h": fewer}, {"cases.cpp": source}))
    assert found.count("\n") == 2, found
    assert 'the case "Block: {}" of Conv' in found and "Block has no parity case" in found, found
    assert "sets ConvOptions::pad to something else than its default (0)" in found, found
    rest = "\n".join(problems({"nn/conv.h": header}, {"cases.cpp": ""}))
    assert "Conv has no" in rest and "ConvOptions::stride" in rest and "Free" not in rest, rest


def main(root):
    check_itself()
    headers = {str(path.relative_to(root)): path.read_text(encoding="utf-8")
               for path in sorted((root / "nn").rglob("*.h"))}
    sources = {path.name: path.read_text(encoding="utf-8")
               for path in sorted((root / "tests/parity").glob("layer_cases*.cpp"))}
    found = list(problems(headers, sources))
    layers = [layer for header in headers.values() for layer in layers_of(without_comments(header))]
    print("\n".join(f"FAIL: {problem}" for problem in found)
          or f"PASS: {len(layers)} layers have cases and every option is set in one")
    sys.exit(bool(found))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
