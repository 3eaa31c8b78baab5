"""Well-formed, odd and malformed safetensors files: CASES, each with the verdict of the reference reader
(0.8.0) and of ours."""
import collections
import json
import struct

# `reference`, `header` (seq2seq inspect), `load` (load_safetensors): whether each accepts the file.
Case = collections.namedtuple("Case", "name data reference header load")
ACCEPT, REJECT = True, False
CASES = []


def raw(header, data=bytes(8), length=None):
    header = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def obj(header, data=b""):
    return raw(json.dumps(header), data)


def tensor(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def add(name, data, reference, header=None, load=None):
    """Ours agrees with the reference unless another verdict, a stricter one, is given."""
    header = reference if header is None else header
    CASES.append(Case(name, data, reference, header, header if load is None else load))


INFO = '{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
A = '"a":' + INFO


def shape(text):
    return raw('{"a":{"dtype":"F32","shape":%s,"data_offsets":[0,8]}}' % text)


def offsets(text):
    return raw('{"a":{"dtype":"F32","shape":[2],"data_offsets":%s}}' % text)


def nested(depth):
    return raw('{"a":%s,"x":%s}}' % (INFO[:-1], "[" * depth + "]" * depth))


add("minimal", obj({"a": tensor()}, bytes(8)), ACCEPT)
add("empty dictionary", obj({}), ACCEPT)
add("metadata only", obj({"__metadata__": {"k": "v"}}), ACCEPT)
add("scalar", obj({"a": tensor(shape=(), offsets=(0, 4))}, bytes(4)), ACCEPT)
add("zero-size tensor", obj({"a": tensor(shape=(0, 3), offsets=(0, 0))}), ACCEPT)
EMPTY = tensor(shape=(0,), offsets=(0, 0))
add("two zero-size tensors at one offset", obj({"a": EMPTY, "b": EMPTY}), ACCEPT)
add("zero-size between tensors", obj({"a": tensor(), "z": tensor(shape=(0,), offsets=(8, 8)),
                                      "b": tensor(offsets=(8, 16))}, bytes(16)), ACCEPT)
add("key order is not offset order", obj({"b": tensor(offsets=(8, 16)), "a": tensor()}, bytes(16)), ACCEPT)
add("header padded with spaces", raw("{%s}    " % A), ACCEPT)
add("header padded with NUL", raw("{%s}\0\0" % A), REJECT)
add("header padded with newline and tab", raw("{%s}\n\t" % A), ACCEPT)
add("leading space", raw(" {%s}" % A), ACCEPT)
add("UTF-8 byte order mark", raw(b"\xef\xbb\xbf{%s}" % A.encode()), REJECT)
add("header of odd length", raw("{%s} " % A), ACCEPT)
add("duplicate name, same offsets", raw("{%s,%s}" % (A, A)), ACCEPT, REJECT)
add("duplicate name, offsets that follow", raw("{%s,%s}" % (A, A.replace("[0,8]", "[8,16]")), bytes(16)),
    REJECT)
add("duplicate name, spelt \\u0061", raw('{%s,"\\u0061":%s}' % (A, INFO)), ACCEPT, REJECT)
add("duplicate dtype field", raw('{"a":{"dtype":"F32",%s}' % INFO[1:]), REJECT)
add("duplicate __metadata__", raw('{"__metadata__":{"k":"v"},"__metadata__":{"k":"w"}}', b""), REJECT)
add("duplicate metadata key", raw('{"__metadata__":{"k":"v","k":"w"}}', b""), ACCEPT, REJECT)
add("unknown field", raw('{"a":%s,"x":1}}' % INFO[:-1]), ACCEPT)
add("no dtype", raw('{"a":{"shape":[2],"data_offsets":[0,8]}}'), REJECT)
add("no data_offsets", raw('{"a":{"dtype":"F32","shape":[2]}}'), REJECT)
add("unknown dtype F31", obj({"a": tensor("F31")}, bytes(8)), REJECT)
add("dtype in lower case", obj({"a": tensor("f32")}, bytes(8)), REJECT)
add("negative extent", shape("[-2]"), REJECT)
add("extent 2.0", shape("[2.0]"), REJECT)
add("extent 2e0", shape("[2e0]"), REJECT)
add("extent is a string", shape('["2"]'), REJECT)
add("shape null", shape("null"), REJECT)
add("shape 2^32 x 2^32 overflows", obj({"a": tensor(shape=(2**32, 2**32), offsets=(0, 0))}), REJECT)
add("shape 2^62 F32 overflows", obj({"a": tensor(shape=(2**62,), offsets=(0, 0))}), REJECT)
add("extent beyond 64 bits", shape("[18446744073709551616]"), REJECT)
add("overflow before a 0", obj({"a": tensor(shape=(2**63, 2**63, 0), offsets=(0, 0))}), REJECT)
add("overflow behind a 0", obj({"a": tensor(shape=(0, 2**63, 2**63), offsets=(0, 0))}), ACCEPT, REJECT)
add("one offset", offsets("[0]"), REJECT)
add("three offsets", offsets("[0,8,9]"), REJECT)
add("offsets reversed", obj({"a": tensor(offsets=(8, 0))}, bytes(8)), REJECT)
add("offsets do not fit the shape", obj({"a": tensor(offsets=(0, 4))}, bytes(4)), REJECT)
add("end beyond the file", obj({"a": tensor()}, bytes(4)), REJECT)
add("trailing byte", obj({"a": tensor()}, bytes(9)), REJECT)
add("hole between tensors", obj({"a": tensor(), "b": tensor(offsets=(12, 20))}, bytes(20)), REJECT)
add("hole at the start", obj({"a": tensor(offsets=(4, 12))}, bytes(12)), REJECT)
add("overlap", obj({"a": tensor(), "b": tensor(offsets=(4, 12))}, bytes(12)), REJECT)
add("identical ranges", obj({"a": tensor(), "b": tensor()}, bytes(8)), REJECT)
add("metadata value is a number", obj({"__metadata__": {"k": 1}}), REJECT)
add("metadata value is an object", obj({"__metadata__": {"k": {"x": "y"}}}), REJECT)
add("metadata null", raw('{"__metadata__":null}', b""), ACCEPT)
add("metadata is an array", raw('{"__metadata__":[]}', b""), REJECT)
add("tensor named __metadata__", obj({"__metadata__": tensor()}, bytes(8)), REJECT)
add("empty name", obj({"": tensor()}, bytes(8)), ACCEPT)
add("name with \\u0000", raw('{"a\\u0000b":%s}' % INFO), ACCEPT, REJECT)
add("name with ../", obj({"../../etc/passwd": tensor()}, bytes(8)), ACCEPT)
add("control character in a name", raw('{"a\x01":%s}' % INFO), REJECT)
add("lone surrogate", raw('{"\\ud800":%s}' % INFO), REJECT)
add("invalid UTF-8 ff", raw(b'{"\xff":%s}' % INFO.encode()), REJECT)
add("overlong UTF-8 c0 80", raw(b'{"\xc0\x80":%s}' % INFO.encode()), REJECT)
add("surrogate in UTF-8 ed a0 80", raw(b'{"\xed\xa0\x80":%s}' % INFO.encode()), REJECT)
add("trailing comma", raw("{%s,}" % A), REJECT)
add("comment", raw("{/*x*/%s}" % A), REJECT)
add("NaN literal", shape("[NaN]"), REJECT)
add("array at the top", raw("[]", b""), REJECT)
add("nesting of 200", nested(200), REJECT)
add("nesting of 100000", nested(100000), REJECT)
add("empty file", b"", REJECT)
add("7 bytes", bytes(7), REJECT)
add("length 0", bytes(8), REJECT)
add("length 1", raw("{", b""), REJECT)
add("length 2^64-1", raw("{}", b"", 2**64 - 1), REJECT)
add("length 100000001", raw("{}", b"", 100_000_001), REJECT)
add("length beyond the file", raw("{}", b"", 3), REJECT)
add("length in big endian", bytes(7) + b"\x02{}", REJECT)
add("F4 in a whole byte", obj({"a": tensor("F4", offsets=(0, 1))}, bytes(1)), ACCEPT, ACCEPT, REJECT)
add("F4 in half a byte", obj({"a": tensor("F4", (3,), (0, 2))}, bytes(2)), REJECT)
add("BOOL byte of 2", obj({"a": tensor("BOOL", (1,), (0, 1))}, b"\2"), ACCEPT)
add("NaN with a payload", obj({"a": tensor()}, b"\xff" * 8), ACCEPT)
add("65 axes", obj({"a": tensor(shape=[1] * 65, offsets=(0, 4))}, bytes(4)), ACCEPT, ACCEPT, REJECT)
add("offset -0", offsets("[-0,8]"), REJECT)
add("offset 08", offsets("[0,08]"), REJECT)
