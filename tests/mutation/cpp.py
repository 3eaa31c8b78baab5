"""Just enough C++ for the mutation test: tokens, brackets and functions of clang-formatted code."""
import dataclasses
import re

TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*|/\*.*?\*/|^[ \t]*\#(?:[^\n\\]|\\.)*)
      |(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)+')
      |(?P<number>(?:0x[0-9a-fA-F]+|\d+\.?\d*(?:[eE][-+]?\d+)?)[uUlLfF]*)
      |(?P<name>[A-Za-z_]\w*)
      |(?P<op>::|->|\+\+|--|<<=|>>=|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|\.\.\.|.)""",
    re.VERBOSE | re.DOTALL | re.MULTILINE)
ACCESS = ("public", "private", "protected")
BRACKETS = {"(": ")", "[": "]", "{": "}"}
BINARY = {"*": 6, "/": 6, "%": 6, "+": 5, "-": 5, "<": 4, ">": 4, "<=": 4, ">=": 4, "==": 3, "!=": 3, "&&": 2,
          "||": 1}


@dataclasses.dataclass
class Token:
    kind: str
    text: str
    start: int
    end: int
    match: int = -1  # of a bracket: its partner
    inside: int = -1  # the enclosing bracket


@dataclasses.dataclass
class Function:
    name: str
    owner: str  # the class it is a member of
    body: tuple  # tokens of the opening and the closing brace
    owner_range: tuple
    head: int  # first token


class Source:
    """A file's text and tokens; ranges are half-open ranges of tokens."""

    def __init__(self, text):
        self.text = text
        self.tokens = []
        for found in TOKEN.finditer(text):
            if found.lastgroup != "skip":
                self.tokens.append(Token(found.lastgroup, found[0], found.start(), found.end()))
        stack = []
        for i, token in enumerate(self.tokens):
            if token.kind == "op" and token.text in BRACKETS.values():
                opening = stack.pop()
                token.match, self.tokens[opening].match = opening, i
            token.inside = stack[-1] if stack else -1
            if token.kind == "op" and token.text in BRACKETS:
                stack.append(i)

    def is_(self, i, *texts):
        return 0 <= i < len(self.tokens) and self.tokens[i].text in texts

    def slice(self, begin, end):
        return self.text[self.tokens[begin].start:self.tokens[end - 1].end] if begin < end else ""

    def line(self, begin, end):
        """The text without comments, on one line."""
        parts, last = [], None
        for token in self.tokens[begin:end]:
            if last is not None and token.start > last:
                parts.append(" ")
            parts.append(token.text)
            last = token.end
        return "".join(parts)

    def spaced(self, i):
        """True when white space surrounds token i, as around binary operators, but not in `T*` or `f<T>`."""
        before, after = self.tokens[i].start, self.tokens[i].end
        return self.text[before - 1].isspace() and self.text[after].isspace()

    def binary(self, i):
        return self.tokens[i].text in BINARY and self.tokens[i].kind == "op" and self.spaced(i)

    def operands(self, i):
        """Token ranges of the operands of the binary operator at i."""
        rank = BINARY[self.tokens[i].text]
        stop = (",", ";", "?", ":", "=", "+=", "-=", "*=", "/=", "return", "|=", "^=", "<<")

        def ends(k, strict):
            if self.is_(k, *stop):
                return True
            return self.binary(k) and (BINARY[self.tokens[k].text] < rank + (0 if strict else 1))
        begin = i
        while begin - 1 > self.tokens[i].inside and not ends(begin - 1, True):
            begin = self.tokens[begin - 1].match if self.is_(begin - 1, ")", "]", "}") else begin - 1
        end = i + 1
        close = self.tokens[self.tokens[i].inside].match if self.tokens[i].inside >= 0 else len(self.tokens)
        while end < close and not ends(end, False):
            end = self.tokens[end].match + 1 if self.is_(end, *BRACKETS) else end + 1
        return (begin, i), (i + 1, end)

    def split(self, begin, end, separator=","):
        """Ranges between the separators outside of brackets and template arguments."""
        parts, at, angle = [], begin, 0
        i = begin
        while i < end:
            if self.is_(i, *BRACKETS):
                i = self.tokens[i].match
            elif self.is_(i, "<") and not self.spaced(i):
                angle += 1
            elif self.is_(i, ">") and not self.spaced(i) and angle:
                angle -= 1
            elif self.is_(i, separator) and angle == 0:
                parts.append((at, i))
                at = i + 1
            i += 1
        if at < end:
            parts.append((at, end))
        return parts

    def arguments(self, opening):
        return self.split(opening + 1, self.tokens[opening].match)

    def callee(self, opening):
        """Name before the `(` at `opening`, template arguments skipped: (token, name), or (-1, '')."""
        i = opening - 1
        if self.is_(i, ">") and not self.spaced(i):
            depth = 0
            while i >= 0:
                depth += self.is_(i, ">") - self.is_(i, "<")
                i -= 1
                if depth == 0:
                    break
        return (i, self.tokens[i].text) if i >= 0 and self.tokens[i].kind == "name" else (-1, "")

    def functions(self):
        """Every function with a body, at namespace or class level."""
        found, i, start = [], 0, 0
        owners = []  # (name, opening brace, closing brace)
        while i < len(self.tokens):
            while owners and i > owners[-1][2]:
                owners.pop()
            if self.is_(i, "(", "["):
                i = self.tokens[i].match
            elif self.is_(i, ";", "}") or (self.is_(i, ":") and self.tokens[i - 1].text in ACCESS):
                start = i + 1
            elif self.is_(i, "{"):
                head = [k for k in range(start, i) if self.tokens[k].inside == self.tokens[i].inside]
                words = [self.tokens[k].text for k in head]
                kind = next((w for w in ("namespace", "class", "struct") if w in self.untemplated(words)), "")
                opens = [k for k in head if self.is_(k, "(")]
                if kind and not opens:
                    names = self.untemplated(words)
                    name = "".join(names[names.index(kind) + 1:][:1])  # of a struct without a name: ""
                    if kind != "namespace":
                        owners.append((name, i, self.tokens[i].match))
                    start = i + 1
                    i += 1
                    continue
                if opens and "=" not in words:
                    calls = [self.callee(k) for k in opens]
                    calls = [c for c in calls if c[0] >= 0 and c[1] not in ("__attribute__", "noexcept")]
                    if calls:
                        at, name = calls[-1]
                        owner, where = (owners[-1][0], owners[-1][1:]) if owners else ("", (0, 0))
                        if self.is_(at - 1, "::") and not owner:
                            owner = self.tokens[at - 2].text
                        found.append(Function(name, owner, (i, self.tokens[i].match), where, start))
                i = self.tokens[i].match
                if not self.is_(i + 1, ";", ",") or (opens and "=" not in words):
                    start = i + 1
            i += 1
        return found

    def slopes(self):
        """The slopes of elementwise ops: the second lambda among the arguments of `elementwise("name", …)`.

        Those of fused ones are printed and never computed.
        """
        found = []
        for i, token in enumerate(self.tokens):
            at, name = self.callee(i) if token.text == "(" else (-1, "")
            if name != "elementwise" or self.tokens[i + 1].kind != "string":
                continue
            op, lambdas = self.tokens[i + 1].text.strip('"'), self.lambdas(i + 1, token.match)
            introducer, opening, closing = lambdas[1]
            found.append(Function("slope", op, (opening, closing), (introducer, closing), introducer))
        return found

    @staticmethod
    def untemplated(words):
        """Words of a declaration's head without `template <...>`."""
        if not words or words[0] != "template":
            return words
        depth = 0
        for k, word in enumerate(words):
            depth += (word == "<") - (word == ">")
            if k > 0 and depth == 0:
                return Source.untemplated(words[k + 1:])
        return words

    def lambdas(self, begin, end):
        """(introducer, opening brace, closing brace) of the outermost lambdas in a range."""
        found, i = [], begin
        while i < end:
            if self.is_(i, "[") and (i == begin or self.is_(i - 1, "(", ",", "=", "{", "return")):
                k = self.tokens[i].match + 1
                while k < end and not self.is_(k, "{"):
                    k = self.tokens[k].match + 1 if self.is_(k, "(", "[") else k + 1
                if k < end and not self.is_(self.tokens[i].match + 1, ",", ")", ";", ".", "="):
                    found.append((i, k, self.tokens[k].match))
                    i = self.tokens[k].match
            i += 1
        return found
