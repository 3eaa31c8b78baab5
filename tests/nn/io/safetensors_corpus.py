"""safetensors_corpus.py SEQ2SEQ TOOL: every file of safetensors_cases.py gets its verdict from `seq2seq
inspect`, from load_safetensors (through safetensors_tool) and, if installed, from the reference reader."""
import pathlib
import subprocess
import sys
import tempfile

from safetensors_cases import CASES

WELL, BAD_DATA = 0, 65


def inspected(program, path):
    result = subprocess.run([program, "inspect", path], capture_output=True, timeout=600)
    if result.returncode not in (WELL, BAD_DATA):
        return f"exit code {result.returncode}"
    if (result.returncode == BAD_DATA) != bool(result.stderr):
        return "an exit code that does not fit the message " + repr(result.stderr)
    return result.returncode == WELL


def loaded(tool, paths):
    """One line a file: `ok`, or why not."""
    result = subprocess.run([tool, "load", *paths], capture_output=True, text=True, timeout=600)
    lines = result.stdout.splitlines()
    if result.returncode != WELL or len(lines) != len(paths):
        sys.exit(f"FAIL: safetensors_tool ends with {result.returncode}: {result.stderr}")
    return [line == "ok" for line in lines]


def reference_reader():
    try:
        import safetensors
    except ImportError:
        print("note: safetensors is not installed, its recorded verdicts are used")
        return None
    print("note: the reference reader is safetensors", safetensors.__version__)

    def accepts(data):
        try:
            safetensors.deserialize(data)
            return True
        except Exception:  # its own SafetensorError, and whatever a bad header brings about
            return False
    return accepts


def main(program, tool):
    reference = reference_reader()
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, case in enumerate(CASES):
            paths.append(pathlib.Path(folder) / f"{number:02}.safetensors")
            paths[-1].write_bytes(case.data)
        loads = loaded(tool, paths)
        failures = 0
        for case, path, load in zip(CASES, paths, loads):
            wrong = []
            for reader, verdict, expected in (
                    ("seq2seq inspect", inspected(program, path), case.header),
                    ("load_safetensors", load, case.load),
                    ("the reference", reference(case.data) if reference else case.reference, case.reference)):
                if verdict is not expected:
                    said = {True: "accepts", False: "rejects"}.get(verdict, verdict)
                    wrong.append(f"{reader}: {said}, expected {'accepts' if expected else 'rejects'}")
            failures += bool(wrong)
            print(f"{'FAIL' if wrong else 'PASS'}: {case.name}", *wrong, sep=": " if wrong else "")
    print(f"{len(CASES) - failures}/{len(CASES)} verdicts as expected; the reference accepts "
          f"{sum(case.reference for case in CASES)}, seq2seq inspect "
          f"{sum(case.header for case in CASES)}, load_safetensors {sum(case.load for case in CASES)}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
