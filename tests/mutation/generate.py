"""Mutants of every backward rule in a tree, all in one program, one of them alive at a time.

A rule is the slope of an elementwise op, the body of a function whose name says backward, gradient or
pullback, in autograd/ops, autograd/kernels and the headers that ops share, or of a function that only rules
call; not of one that users call (scale_gradient). Every mutant is a statement, written once more with one
edit, behind `::mutation::on(number)`, on a line of its own, so that a compiler's message names it.
"""
import collections
import dataclasses
import pathlib
import re

import cpp
import rules

ROOT = re.compile(r"^(?!has_|is_).*(backward|pullback|gradient|slope$)")
WRAPPED = ("pullback", "backward_kernel", "backward")  # rules of an op that are mutated as a whole too
HEADERS = ("tensor/axis.h", "tensor/broadcast.h", "ops/elementwise_op.h", "ops/typed.h")
WHOLE = ((rules.SIGN, "-g"), (rules.FACTOR, "2 g"), (rules.FACTOR, "g / 2"), (rules.TRANSPOSE, "g reversed"),
         (rules.TERM, "0 g"), (rules.TERM, "cotangent of ones"), (rules.OVERWRITE, "accumulator = g"),
         (rules.SWAP, "g_1, g_0"))
DECLARATION = re.compile(r"(?:const |static )*(?:auto|[\w:]+(?:<[^;=()]*?>)?) ?[*&]* ?(?:const )?"
                         r"(?:\w+|\[[\w, ]+\])(?: =|;|\(|\{|,|\[)")
STATEMENT = re.compile(r"return\b|throw\b|delete\b|new\b|else\b")
SCALAR = re.compile(r"(?:const )?(?:T|double|Vector<T>) \w")
UNTOUCHED = ("using", "constexpr", "static", "throw", "continue", "break", "static_assert")


@dataclasses.dataclass
class Mutant:
    number: int
    file: str
    function: str
    rule: str
    original: str
    edited: str
    repeat: int = 1
    born: bool = True
    whole: str = ""  # the edit, not shortened and without white space

    @property
    def key(self):
        again = f" #{self.repeat}" if self.repeat > 1 else ""
        return f"{self.file} | {self.function} | {self.rule} | {self.original} -> {self.edited}{again}"


class Generator:
    """Numbers the mutants of one tree; `stillborn` names those that do not compile, by key."""

    def __init__(self, root, stillborn=()):
        self.root = pathlib.Path(root)
        self.stillborn = set(stillborn)
        self.mutants, self.bodies, self.exempt = [], {}, []
        self.repeats = collections.Counter()
        self.texts, self.rule_tokens = {}, collections.defaultdict(list)  # by file
        autograd = self.root / "autograd"
        paths = sorted(autograd.glob("ops/**/*.cpp")) + sorted(
            path for path in autograd.glob("kernels/**/*") if path.suffix in (".cpp", ".h"))
        paths += [autograd / name for name in HEADERS]
        paths = [path for path in paths if path.name != "dispatch.cpp" and path.parent.name != "backend"]
        read = lambda path: cpp.Source(path.read_text(encoding="utf-8"))
        self.sources = {str(path.relative_to(self.root)): read(path) for path in paths}
        self.functions = {name: source.functions() + source.slopes()
                          for name, source in self.sources.items()}
        self.rule_names = self.reach()
        for name in self.sources:
            self.mutate_file(name)

    def reach(self):
        """Names of the functions that are rules: by their name, or because only rules call them."""
        calls = collections.defaultdict(set)  # callee -> callers
        defined = {f.name for functions in self.functions.values() for f in functions}
        for name, source in self.sources.items():
            spans = [(f.body, f.name) for f in self.functions[name]]
            for i, token in enumerate(source.tokens):
                if token.text != "(":
                    continue
                at, callee = source.callee(i)
                if at < 0 or callee not in defined:
                    continue
                caller = next((f for (begin, end), f in spans if begin < i < end), None)
                if caller is not None:
                    calls[callee].add(caller)
                elif not any(f.head <= at < f.body[0] and f.name == callee for f in self.functions[name]):
                    calls[callee].add("")  # an initialiser at namespace level
        headers = (self.root / "autograd").glob("ops/**/*.h")
        public = "".join(path.read_text(encoding="utf-8") for path in headers)
        defined = {name for name in defined if not re.search(rf"^\w.* {name}\(", public, re.MULTILINE)}
        known = {name for name in defined if ROOT.search(name)}
        while True:
            callers = {name: calls[name] - {name} for name in defined - known}
            more = {name for name, by in callers.items() if by and by <= known}
            if not more:
                return known
            known |= more

    def mutate_file(self, name):
        source, replaced = self.sources[name], []
        for f in sorted(self.functions[name], key=lambda function: function.body):
            if f.name not in self.rule_names:
                continue
            begin, end = f.owner_range
            scope = source.text[source.tokens[begin].start:source.tokens[end].end] if end else source.text
            if re.search(r"bool differentiable\(\) const override \{ return false; \}", scope):
                self.exempt.append(f"{name} | {f.owner}: no gradient flows, its pullback never runs")
                continue
            tokens = source.tokens[f.head:f.body[1] + 1]
            self.rule_tokens[name].append(" ".join(token.text for token in tokens))
            text = Body(self, name, f, scope).render()
            replaced.append((source.tokens[f.body[0]].start, source.tokens[f.body[1]].end, text))
        if replaced:
            header = "rules.h" if name.startswith("autograd/ops/") else "mutant.h"
            text = f"#include <mutation/{header}>\n"
            at = 0
            for begin, end, body in replaced:
                text += source.text[at:begin] + body
                at = end
            text += source.text[at:]
            if name.endswith(".h"):  # the pragma first
                text = "#pragma once\n" + text.replace("#pragma once\n", "", 1)
            self.texts[name] = text

    def new(self, file, function, rule, original, edited):
        identity = (file, function, rule, shorten(original), shorten(edited))
        self.repeats[identity] += 1
        mutant = Mutant(len(self.mutants), *identity, self.repeats[identity])
        mutant.born = mutant.key not in self.stillborn
        mutant.whole = re.sub(r"\s", "", f"{function} | {rule} | {original} -> {edited}")
        self.mutants.append(mutant)
        return mutant


class Body:
    """One function's body, with its mutants."""

    def __init__(self, generator, file, function, scope):
        self.generator, self.file, self.function = generator, file, function
        self.source = generator.sources[file]
        self.rules = rules.Rules(self.source, scope)
        self.scope = scope
        self.name = f"{function.owner}::{function.name}" if function.owner else function.name
        self.count = 0
        self.depth = int(function.name == "slope")  # lambdas around

    def render(self):
        begin, end = self.function.body
        wrapped = ""
        of_op = self.function.name in WRAPPED and self.file.startswith("autograd/ops/")
        if of_op and self.parameter().isidentifier() and not self.file.endswith("typed.h"):
            wrapped = self.wrapper()
        text = self.block(begin, end)
        if wrapped and self.function.name == "backward_kernel":
            g = self.parameter()
            text = (f"{{\n{wrapped}[&](const BackwardArgs& given) -> void {{\n"
                    f"const RawBackward<T> {g}{{given}};\n{text}\n}});\n}}")
        elif wrapped:
            result = "VarList" if self.function.name == "pullback" else "void"
            parameter = f"const {self.parameter_type()}& {self.parameter()}"
            text = f"{{\n{wrapped}[&]({parameter}) -> {result} {text});\n}}"
        key = f"{self.file} | {self.name}"
        rule = ROOT.search(self.function.name) and self.file.endswith(".cpp")
        at_least = 5 if rule and not self.passes_on() else 0
        self.generator.bodies[key] = (self.generator.bodies.get(key, (0, 0))[0] + self.count, at_least)
        return text

    def passes_on(self):
        """True when the body is one call of another rule, which has the mutants."""
        source, (begin, end) = self.source, self.function.body
        opening = next((k for k in range(begin, end) if source.is_(k, "(")), begin)
        called = source.callee(opening)[1] in self.generator.rule_names and not source.lambdas(opening, end)
        return called and source.is_(end - 1, ";") and source.tokens[opening].match == end - 2

    def parameter_type(self):
        return "PullbackArgs" if self.function.name == "pullback" else "BackwardArgs"

    def parameter(self):
        """Name of the function's last parameter."""
        i = self.function.body[0] - 1
        while not self.source.is_(i, ")"):
            i -= 1
        return self.source.tokens[i - 1].text

    def wrapper(self):
        pullback = self.function.name == "pullback"
        several = re.search(r"\b(inputs|in|needs|dinputs)(\[1\]|, \w+_at)|inputs\.size\(\)|\bdx\(1\)",
                            self.scope)
        first = None
        for form, (rule, edited) in enumerate(WHOLE):
            if (pullback and rule == rules.OVERWRITE) or (rule == rules.SWAP and not several):
                number = len(self.generator.mutants)
                keeps_place = Mutant(number, "", "", "", "", "", born=False)
                self.generator.mutants.append(keeps_place)
            else:
                number = self.generator.new(self.file, self.name, rule, "g", edited).number
                self.count += 1
            first = number if form == 0 else first
        args = self.parameter() + (".args" if self.function.name == "backward_kernel" else "")
        call = f"results({first}, " if pullback else f"raw({first}, *this, "
        return f"return ::mutation::{call}{args}, "

    # Statements. Each method returns the text of its statement with mutants.

    def block(self, opening, closing):
        parts, i = ["{"], opening + 1
        while i < closing:
            text, i = self.statement(i, closing)
            parts.append(text)
        return "\n".join(parts) + "\n}"

    def statement(self, i, limit):
        source = self.source
        word = source.tokens[i].text
        if word == "TAPEGRAD_UNROLL":  # of the loop behind it
            return self.statement(i + 1, limit)
        if word == "{":
            close = source.tokens[i].match
            return self.block(i, close), close + 1
        if word == "if":
            return self.branch(i, limit)
        if word in ("for", "while"):
            close = source.tokens[i + 1].match
            body, k = self.statement(close + 1, limit)
            return f"{source.line(i, close + 1)} {{ {body} }}", k
        end = self.end_of(i, limit)
        if word in UNTOUCHED:
            return source.line(i, end + 1), end + 1
        if word == "return":
            return self.returned(i + 1, end), end + 1
        line = source.line(i, end + 1)
        if DECLARATION.match(line) and not STATEMENT.match(line):
            return self.declaration(i, end), end + 1
        return self.expression_statement(i, end), end + 1

    def branch(self, i, limit):
        """`if` with its `else`; the condition of `if constexpr` stays as it is."""
        source = self.source
        if source.is_(i + 1, "constexpr"):
            close = source.tokens[i + 2].match
            text = f"if constexpr ({source.line(i + 3, close)})"
        else:
            close = source.tokens[i + 1].match
            text = f"if ({self.condition(i + 2, close)})"
        then, k = self.statement(close + 1, limit)
        text += f" {{ {then} }}"
        if source.is_(k, "else"):
            other, k = self.statement(k + 1, limit)
            text += f" else {{ {other} }}"
        return text, k

    def end_of(self, i, limit):
        while i < limit and not self.source.is_(i, ";"):
            i = self.source.tokens[i].match + 1 if self.source.is_(i, "(", "[", "{") else i + 1
        return i

    def condition(self, begin, end):
        line = self.source.line(begin, end)
        if DECLARATION.match(line + ";") and " = " in line:
            return self.declaration(begin, end, null=True)
        if ";" in line:
            return line
        edits = self.rules.expression(begin, end)
        edits += [(begin, end, "true", rules.MASK), (begin, end, "false", rules.MASK)]
        return self.choice(begin, end, edits, "static_cast<bool>")

    def returned(self, begin, end):
        edits = self.rules.expression(begin, end)
        if begin == end:
            return "return;"
        if self.source.is_(begin, "{") and self.source.tokens[begin].match == end - 1:
            for span in self.source.arguments(begin):
                if "needs[" not in self.source.line(*span):
                    edits += self.rules.value(*span)
                edits.append((*span, "Var()", rules.TERM))
        elif self.depth > 0 or self.function.name not in WRAPPED:
            edits += self.rules.value(begin, end)
        if self.depth > 0:  # one return, for its type is deduced
            return f"return {self.choice(begin, end, edits)};"
        found = self.alternatives(begin, end, edits)
        lines = [f"if (::mutation::on({m.number})) return {text};" for m, text in found]
        return "{" + "\n".join([""] + lines + [f"return {self.original(begin, end)};"]) + "\n}"

    def declaration(self, begin, end, null=False):
        """Every initialiser, or argument of a constructor, becomes a choice."""
        source, spans = self.source, []
        scalar = SCALAR.match(source.line(begin, end))
        for part in source.split(begin, end):
            i = part[0]
            while i < part[1] and not source.is_(i, "=", "(", "{"):
                i = source.tokens[i].match + 1 if source.is_(i, "[") else i + 1
            if i < part[1] and source.is_(i, "="):
                spans.append((i + 1, part[1]))
            elif i < part[1]:
                spans += source.arguments(i)
        text, at = "", begin
        for b, e in spans:
            edits = [] if source.is_(b, "{") else self.rules.expression(b, e)
            if scalar and not source.is_(b, "{"):
                edits += self.rules.value(b, e)
            if null:
                edits.append((b, e, "nullptr", rules.TERM))
            text += source.line(at, b) + " " + (self.choice(b, e, edits))
            at = e
        return text + source.line(at, end) + ("" if null else ";")

    def expression_statement(self, begin, end):
        source = self.source
        edits = self.rules.expression(begin, end)
        top = [k for k in range(begin, end) if source.tokens[k].inside == source.tokens[begin].inside]
        assigned = next((k for k in top if source.is_(k, "=", "+=", "-=", "*=")), None)
        if assigned is not None:
            if source.is_(assigned, "+="):
                edits.append((assigned, assigned + 1, "=", rules.OVERWRITE))
                edits.append((assigned, assigned + 1, "-=", rules.SIGN))
                edits += self.rules.value(assigned + 1, end)[1:]
            elif source.is_(begin, "result") and not source.lambdas(begin, end):
                edits += self.rules.value(assigned + 1, end)
        if not source.is_(begin, "dispatch", "++", "--"):
            edits.append((begin, end, "", rules.TERM))
        lines = [f"if (::mutation::on({m.number})) {{ {text}; }} else" for m, text in
                 self.alternatives(begin, end, edits)]
        return "{" + "\n".join([""] + lines + [f"{{ {self.original(begin, end)}; }}"]) + "\n}"

    # Alternatives.

    def choice(self, begin, end, edits, cast=""):
        found = self.alternatives(begin, end, edits)
        lines = [f"::mutation::on({m.number}) ? {cast}({text}) :" for m, text in found]
        if not lines:
            return self.original(begin, end)
        return "(" + "\n".join([""] + lines + [f"{cast}({self.original(begin, end)})"]) + "\n)"

    def alternatives(self, begin, end, edits):
        """(mutant, text on one line) of every edit of the tokens in [begin, end) that compiles."""
        source, found = self.source, []
        seen = {re.sub(r"\s", "", source.line(begin, end))}  # mutants that change nothing included
        for b, e, replacement, rule in edits:
            text = f"{source.line(begin, b)} {replacement} {source.line(e, end)}".strip()
            if re.sub(r"\s", "", text) in seen:
                continue
            seen.add(re.sub(r"\s", "", text))
            original, edited = source.line(b, e), replacement
            if e - b == 1:  # name its neighbours too
                lo, hi = max(begin, b - 4), min(end, e + 4)
                original = source.line(lo, hi)
                at = len(source.line(lo, e)) - len(source.line(b, e))
                edited = original[:at] + replacement + original[at + len(source.line(b, e)):]
            edited = edited or "(nothing)"
            mutant = self.generator.new(self.file, self.name, rule, original, edited)
            self.count += 1
            if mutant.born:
                found.append((mutant, text))
        return found

    def original(self, begin, end):
        """The tokens as they are, but with mutants inside the lambdas."""
        source, text, at = self.source, "", begin
        for _, opening, closing in source.lambdas(begin, end):
            self.depth += 1
            text += source.line(at, opening) + " " + self.block(opening, closing)
            self.depth -= 1
            at = closing + 1
        return text + source.line(at, end)


def shorten(text, most=90):
    text = re.sub(r"\s+", " ", text).strip()
    return text if len(text) <= most else f"{text[:most // 2 - 2]} … {text[-most // 2 + 1:]}"
