"""check_kernel_objects.py NM OBJECTS...: objects of an instruction set export no code to the rest.

An inline function emitted in such an object (a member of std::vector, say) may be the copy that the linker
keeps for the whole program, which then dies on an older processor. Symbols with the variant in
their name are safe.
"""
import re
import subprocess
import sys


def main(nm, objects):
    bad = False
    for path in objects:
        command = [nm, "-C", "--defined-only", path]
        listing = subprocess.run(command, text=True, capture_output=True, check=True).stdout
        symbols = [line.split(maxsplit=2)[1:] for line in listing.splitlines() if line.strip()]
        weak = [name for kind, name in symbols if kind in "WVu" and not re.search(r"\bavx\w+::", name)]
        short = "/".join(path.split("/")[-4:])
        print(f"FAIL: {short} offers weak symbols: {'; '.join(weak[:5])}" if weak else f"PASS: {short}")
        bad = bad or bool(weak)
    sys.exit(bad)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
