"""The rules that make mutants of an expression: the common mistakes in backward rules."""
import re

SIGN, FACTOR, TRANSPOSE, TERM, MASK = "sign", "factor", "transpose", "missing term", "missing mask"
UNBROADCAST, OVERWRITE, SWAP = "missing un-broadcast", "= for +=", "swapped"
OPPOSITE = {"+": "-", "-": "+", "*": "/", "/": "*", ">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "!=",
            "!=": "==", "+=": "-=", "-=": "+="}
COMPARISONS = {"greater": "less", "less": "greater", "greater_equal": "less_equal",
               "less_equal": "greater_equal", "equal": "not_equal", "not_equal": "equal"}
# Calls that a mutant leaves out: f(x, ...) becomes x.
LEFT_OUT = dict.fromkeys(("reshape", "unsqueeze", "squeeze", "transpose", "permute", "flip"), TRANSPOSE)
LEFT_OUT |= dict.fromkeys(("square", "exp", "sin", "cos", "sqrt", "log", "sigmoid", "pow"), FACTOR)
LEFT_OUT |= {"affine": FACTOR, "broadcast_to": UNBROADCAST}
LEFT_OUT |= dict.fromkeys(("dropout_with", "dropped", "masked_fill"), MASK)
VIEWS = ("inputs", "outputs", "dinputs", "doutputs", "cotangents", "needs")

POINTERS = {"x": "y", "y": "x", "dx": "", "dy": ""}  # of a RawBackward, with what to take instead


class Rules:
    """Edits of the tokens of one source: (begin, end, replacement, rule) with begin and end token numbers."""

    def __init__(self, source, scope):
        self.source = source
        self.scope = scope  # text of the class or function around: names that an edit may use

    def text(self, span):
        return self.source.line(*span)

    def expression(self, begin, end, condition=False):
        """All edits within the expression, lambdas left out."""
        edits = []
        hidden = [(intro, close) for intro, _, close in self.source.lambdas(begin, end)]
        i = begin
        while i < end:
            if hidden and i == hidden[0][0]:
                i = hidden.pop(0)[1] + 1
                continue
            edits += self.at(i, begin, end, condition)
            i += 1
        return edits

    def at(self, i, begin, end, condition):
        source, token = self.source, self.source.tokens[i]
        if self.address(i):
            return []
        if source.binary(i):
            return self.operator(i)
        if token.text == "?" and source.spaced(i):
            return self.choice(i)
        if token.text == "-" and self.prefix(i):
            return [(i, i + 1, "", SIGN)]
        if token.kind == "number":
            return self.number(i)
        if token.text in ("true", "false") and not source.is_(i - 1, "="):
            last = source.is_(i + 1, ")") or source.is_(i + 1, ",")
            rule = OVERWRITE if token.text == "true" and source.is_(i + 1, ")") else TRANSPOSE
            return [(i, i + 1, "false" if token.text == "true" else "true", rule)] if last else []
        if token.text in ("transpose_a", "transpose_b") and source.is_(i + 1, "="):
            close = next(k for k in range(i, end) if source.is_(k, ",", "}") and
                         source.tokens[k].inside == token.inside or k == source.tokens[token.inside].match)
            return [(i + 2, close, f"!({self.text((i + 2, close))})", TRANSPOSE)]
        if token.text in VIEWS and source.is_(i + 1, "["):
            return self.view(i)
        if token.text in POINTERS and source.is_(i - 1, ".") and source.is_(i + 1, "("):
            return self.pointer(i)
        if token.text == "(" and source.callee(i)[0] >= begin:
            return self.call(i, begin)
        return []

    def address(self, i):
        """True when token i computes an address: in an index or in the first argument of load and store."""
        source, inside = self.source, self.source.tokens[i].inside
        while inside >= 0 and not source.is_(inside, "{"):
            if source.is_(inside, "["):
                return not (source.is_(i, "*") and source.binary(i))  # `i * step` is open to edits
            if source.is_(inside, "(") and source.callee(inside)[1] in ("load", "store", "load_or"):
                first = source.arguments(inside)[0]
                if first[0] <= i < first[1]:
                    return True
            inside = source.tokens[inside].inside
        return False

    def prefix(self, i):
        source = self.source
        return (not source.spaced(i) and source.tokens[i].end == source.tokens[i + 1].start and
                source.tokens[i + 1].kind != "number" and source.tokens[i - 1].kind != "name" and
                not source.is_(i - 1, ")", "]")) or (source.is_(i - 1, "return") and
                                                     source.tokens[i + 1].kind != "number")

    def operator(self, i):
        source, op = self.source, self.source.tokens[i].text
        left, right = source.operands(i)
        a, b, whole = self.text(left), self.text(right), (left[0], right[1])
        if source.is_(source.tokens[i].inside, "["):
            return [(*whole, a, UNBROADCAST)]
        if op in ("+", "-"):
            rule = OVERWRITE if re.search(r"load\(d\w* \+ \w+\)", a) and op == "+" else TERM
            rest = b if op == "+" else f"0 * ({a}) - ({b})"
            return [(i, i + 1, OPPOSITE[op], SIGN), (*whole, a, TERM), (*whole, rest, rule)]
        if op in ("*", "/"):
            edits = [(i, i + 1, OPPOSITE[op], FACTOR), (*whole, a, FACTOR)]
            return edits + [(*whole, b, FACTOR) if op == "*" else (*whole, f"{b} / ({a})", SWAP)]
        if op in ("&&", "||"):
            return [(*whole, a, MASK), (*whole, b, MASK)]
        if op in OPPOSITE:
            return [(i, i + 1, OPPOSITE[op], MASK)]
        return []

    def choice(self, i):
        """condition ? a : b becomes a, and b."""
        source = self.source
        stop = (",", ";", "=", "return", "?", ":", "+=")
        begin = i
        while begin - 1 > source.tokens[i].inside and not source.is_(begin - 1, *stop):
            begin = source.tokens[begin - 1].match if source.is_(begin - 1, ")", "]", "}") else begin - 1
        close = source.tokens[source.tokens[i].inside].match
        colon, depth, k = -1, 0, i + 1
        while k < close and not source.is_(k, ",", ";"):
            if source.is_(k, "?"):
                depth += 1
            elif source.is_(k, ":") and depth == 0 and colon < 0:
                colon = k
            elif source.is_(k, ":"):
                depth -= 1
            k = source.tokens[k].match + 1 if source.is_(k, "(", "[", "{") else k + 1
        condition, a, b = self.text((begin, i)), self.text((i + 1, colon)), self.text((colon + 1, k))
        needed = "needs[" in condition
        edits = [] if needed else [(begin, k, f"({a})", MASK)]
        edits.append((begin, k, f"({b})", TERM if needed else MASK))
        if needed:
            edits += [(i + 1, colon, f"-({a})", SIGN), (i + 1, colon, f"2 * ({a})", FACTOR)]
        return edits

    def number(self, i):
        source, text = self.source, self.source.tokens[i].text
        near = lambda k: source.binary(k) and source.tokens[k].text in "+-*/"
        cast = source.tokens[i - 2].text == "T" and source.is_(i - 1, "(", "{")
        filled = source.callee(source.tokens[i].inside)[1] in ("full", "masked_fill", "fma", "load_or")
        branch = source.is_(i - 1, "?", ":") and source.spaced(i - 1)
        if not (near(i - 1) or near(i + 1) or cast or filled or branch):
            return []
        changed = f"(2 * {text})" if re.search(r"[1-9]", text) else "1"
        return [(i, i + 1, changed, FACTOR)]

    def view(self, i):
        """The value of another input, or an output for an input."""
        source, name = self.source, self.source.tokens[i].text
        close = source.tokens[i + 1].match
        number = source.tokens[i + 2].text
        after = source.tokens[close + 2].text if source.is_(close + 1, ".") else ""
        if after in ("shape", "dtype", "size", "rank", "tape") or not number.isdigit() or close != i + 3:
            return []
        same = name if name == "cotangents" else f"(?:{name}|in)"
        others = set(re.findall(rf"\b{same}\[(\d)\]", self.scope))
        edits = [(i + 2, i + 3, k, SWAP) for k in sorted(others - {number})]
        other = {"inputs": "outputs", "outputs": "inputs"}.get(name)
        if other and number == "0":
            edits.append((i, i + 1, other, SWAP))
        return edits

    def pointer(self, i):
        """The elements of another input, or of an output for an input: `g.x(1)` for `g.x()`."""
        source, name = self.source, self.source.tokens[i].text
        close = source.tokens[i + 1].match
        number = source.tokens[i + 2].text if close == i + 3 else "0"
        if not number.isdigit() or close > i + 3:
            return []
        others = set(re.findall(rf"\b{name}\((\d)\)", self.scope)) | {"0"}
        edits = [(i + 1, close + 1, f"({k})", SWAP) for k in sorted(others - {number})]
        if POINTERS[name] and number == "0":
            edits.append((i, i + 1, POINTERS[name], SWAP))
        return edits

    def call(self, i, begin):
        source = self.source
        at, name = source.callee(i)
        first = at - 2 if source.is_(at - 1, "::", ".") and at - 2 >= begin else at
        whole = (first, source.tokens[i].match + 1)
        arguments = [self.text(span) for span in source.arguments(i)]
        member = source.is_(at - 1, ".", "->")
        if name == "sum_to" and not member:
            return [(*whole, f"::mutation::unsummed({', '.join(arguments)})", UNBROADCAST)]
        if name == "fma" and len(arguments) == 3:
            a, b, c = arguments
            added = OVERWRITE if re.match(r"(\w+\.)?load\(d\w* \+ \w+\)", c) else TERM
            return [(*whole, f"({a}) * ({b})", added), (*whole, f"fma(-({a}), {b}, {c})", SIGN),
                    (*whole, f"fma(2 * ({a}), {b}, {c})", FACTOR), (*whole, f"(({a}) + ({c}))", FACTOR),
                    (*whole, f"(({b}) + ({c}))", FACTOR)]
        if name == "where":
            c, a, b = arguments
            return [(*whole, f"where({c}, {b}, {a})", SWAP), (*whole, f"({a})", MASK),
                    (*whole, f"({b})", MASK)]
        if name == "select" and member:
            return [(*whole, f"({arguments[0]})", MASK)]
        if name in COMPARISONS and len(arguments) == 2:
            return [(at, at + 1, COMPARISONS[name], MASK)]
        edits = []
        if name == "allowed_keys":
            edits.append((*whole, f"{arguments[0]}.key_len", MASK))
        if name == "scores_of":
            edits.append((*whole, f"Scores<T>{{{arguments[0]}.scale, nullptr}}", MASK))
        if name == "matmul":
            swapped = ", ".join([arguments[1], arguments[0]] + arguments[2:])
            edits.append((*whole, f"matmul({swapped})", TRANSPOSE))
        if name == "gemm":
            spans = source.arguments(i)[:2]
            edits += [(*span, f"!({self.text(span)})", TRANSPOSE) for span in spans if self.text(span) not in
                      ("true", "false")]
        if name == "apply" and arguments[-1].count(",") == 1 and arguments[-1].startswith("{"):
            a, b = arguments[-1][1:-1].split(", ")
            edits.append((*source.arguments(i)[-1], f"{{{b}, {a}}}", SWAP))
        if name == "affine":
            span = source.arguments(i)[1]
            edits += [(*span, f"-({arguments[1]})", SIGN), (*span, f"2 * ({arguments[1]})", FACTOR)]
        if name in LEFT_OUT and arguments and not member and source.tokens[at].kind == "name":
            edits.append((*whole, f"({arguments[0]})", LEFT_OUT[name]))
        return edits

    def value(self, begin, end):
        """A gradient as a whole."""
        text = self.text((begin, end))
        if text in ("Var()", "{}", "none", "true", "false", "nullptr") or text.startswith("{"):
            return []
        return [(begin, end, f"-({text})", SIGN), (begin, end, f"2 * ({text})", FACTOR)]
