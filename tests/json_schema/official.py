"""The official JSON Schema Test Suite: where it is, how a case is judged, and a command to run it.

::

    python -m tests.json_schema.official [--draft 2020-12] [--file oneOf] [--failures]
    python -m tests.json_schema.official --update

The suite is ``json-schema-test-suite.tar.xz``, in the folder that ``STRUCTGEN_DATA`` names or in
``../shared/data``; :mod:`jsonschemabench.official_suite` reads it.
"""

import argparse
import json
import random
import sys
import time
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import referencing

import structgen
from jsonschemabench import official_suite
from jsonschemabench.official_suite import DRAFTS, SECTIONS, Case, Test, compact
from tests.json_schema.spell import varied
from tests.json_schema.support import small_vocabulary

BASELINE = Path(__file__).parent / "official_baseline.json"

_REPOSITORY = Path(__file__).resolve().parents[2]


# -- the data ------------------------------------------------------------------------------


def archive() -> Path | None:
    """Find the suite, or None."""
    return official_suite.default_data(_REPOSITORY.parent / "shared" / "data")


def _suite() -> official_suite.OfficialSuite:
    path = archive()
    if path is None:
        raise FileNotFoundError(f"no {official_suite.ARCHIVE} in $STRUCTGEN_DATA or ../shared/data")
    return official_suite.load(path)


def files(draft: str) -> list[str]:
    """Name the files of a draft, without suffix, such as ``oneOf`` and ``optional/format/date``."""
    return _suite().files(draft)


def cases(draft: str, file: str) -> list[Case]:
    """Read the cases of a file."""
    return _suite().cases(draft, file)


def remotes(draft: str) -> Any:
    """Make the registry of the documents that the cases of a draft refer to."""
    return _suite().registry(draft) if archive() else referencing.Registry()


# -- the judgement -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Deviation:
    """A test that does not come out as the suite says.

    ``kind`` is "refused" (does not compile), "rejected" (a valid text), "accepted" (an invalid text) or
    "crashed".
    """

    case: Case
    test: Test
    kind: str
    detail: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Where it is, without the draft: section, file, case, test."""
        return self.case.section, self.case.file, self.case.description, self.test.description


def _options(case: Case) -> dict[str, Any]:
    """Choose the options of :func:`structgen.compile_json_schema` for a case."""
    options: dict[str, Any] = {
        "property_order": "any",
        "numbers": "all",
        "formats": "assert" if case.section == "format" else "annotate",
        "registry": remotes(case.draft),
        "draft": case.option,
        "max_compile_seconds": 10.0,
    }
    return options


def _accepts(automaton: Any, text: str) -> bool:
    """Tell whether the language holds a text, read byte by byte."""
    if automaton is None:
        return False
    session = automaton.session()
    state = session.advance_bytes(session.start, text.encode())
    return bool(state != structgen.DEAD and session.accepts(state))


def _masks_allow(automaton: Any, text: str) -> bool:
    """Tell whether the masks let the text through, as a model would write it byte by byte."""
    if automaton is None:
        return False
    session, end = automaton.session(), automaton.vocabulary.eos_token_ids[0]
    state = session.start
    for token in [*text.encode(), end]:
        if not session.mask(state)[token >> 5] >> (token & 31) & 1:
            return False
        if token != end:
            state = session.step(state, token)
    return True


def judge(case: Case, seed: int = 0) -> list[Deviation]:
    """Compile a case and read its instances, each in several spellings.

    Returns
    -------
    list of Deviation
        At most one per test; empty when the case passes.
    """
    options = _options(case)
    compiled: dict[str, Any] = {}
    for escapes in ("minimal", "all"):
        try:
            compiled[escapes] = structgen.compile_json_schema(
                compact(case.schema), small_vocabulary(), escapes=escapes, **options
            )
        except structgen.UnsatisfiableSchemaError:
            compiled[escapes] = None
        except structgen.StructgenError as error:
            detail = f"{getattr(error, 'keyword', None) or type(error).__name__}: {_reason(error)}"
            return [Deviation(case, test, "refused", detail) for test in case.tests]
        except Exception as error:
            return [Deviation(case, test, "crashed", repr(error)) for test in case.tests]
    return [found for test in case.tests if (found := _judge_test(case, test, compiled, seed))]


def _reason(error: structgen.StructgenError) -> str:
    return str(getattr(error, "reason", error)).splitlines()[0]


def _judge_test(case: Case, test: Test, compiled: dict[str, Any], seed: int) -> Deviation | None:
    rng = random.Random(zlib.crc32(f"{seed}/{case.description}/{test.description}".encode()))
    # Draft 4 tells 1 from 1.0, so that another spelling of a number is another instance there.
    numbers = case.draft != "4"
    readings = [
        (_masks_allow, "minimal", compact(test.data)),
        (_accepts, "minimal", varied(test.data, rng)),
        (_accepts, "all", varied(test.data, rng, escapes=True, numbers=numbers)),
    ]
    for reading, escapes, text in readings:
        try:
            accepted = reading(compiled[escapes], text)
        except Exception as error:
            return Deviation(case, test, "crashed", f"{text!r}: {error!r}")
        if accepted != test.valid:
            return Deviation(case, test, "accepted" if accepted else "rejected", text)
    return None


# -- the baseline --------------------------------------------------------------------------

# section -> draft -> file -> case -> "kind: reason", or test -> "kind: reason" where the tests differ.
Baseline = dict[str, dict[str, dict[str, dict[str, Any]]]]

_TODAY = "so far, "


def read_baseline() -> Baseline:
    """Read the exceptions that are committed."""
    content: Baseline = json.loads(BASELINE.read_text(encoding="utf-8"))
    return content


def expected(baseline: Baseline, case: Case) -> dict[str, str]:
    """Look up the exceptions of a case: test -> "kind: reason"."""
    entry = baseline[case.section].get(case.draft, {}).get(case.file, {}).get(case.description, {})
    return {test.description: entry for test in case.tests} if isinstance(entry, str) else dict(entry)


def updated(old: Baseline, judged: list[tuple[Case, list[Deviation]]]) -> Baseline:
    """Make the baseline of a run; reasons that were written by hand are kept while the kind stays."""
    new: Baseline = {section: {} for section in SECTIONS}
    for case, deviations in judged:
        before = expected(old, case) if old else {}
        entries = {}
        for found in deviations:
            was = before.get(found.test.description, "")
            written = was.startswith(f"{found.kind}: ") and not was.startswith(f"{found.kind}: {_TODAY}")
            entries[found.test.description] = was if written else f"{found.kind}: {_TODAY}{_today(found)}"
        if entries:
            same = len(entries) == len(case.tests) and len(set(entries.values())) == 1
            file = new[case.section].setdefault(case.draft, {}).setdefault(case.file, {})
            file[case.description] = next(iter(entries.values())) if same else entries
    return new


def _today(found: Deviation) -> str:
    return found.detail if found.kind == "refused" else found.detail[:80]


def update() -> None:
    """Rewrite the baseline from a run of everything."""
    judged = [(case, judge(case)) for draft in DRAFTS for file in files(draft) for case in cases(draft, file)]
    old = read_baseline() if BASELINE.exists() else {}
    content = json.dumps(updated(old, judged), indent=1, ensure_ascii=False)
    BASELINE.write_text(content + "\n", encoding="utf-8")


# -- the command ---------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """Run the suite and print how many tests pass per file; 1 when any does not."""
    parser = argparse.ArgumentParser(prog="python -m tests.json_schema.official", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--draft", action="append", choices=DRAFTS, help="default: all")
    parser.add_argument("--file", action="append", help="such as oneOf or optional/format/date; default: all")
    parser.add_argument("--section", action="append", choices=SECTIONS, help="default: all")
    parser.add_argument("--case", help="only cases whose description contains this")
    parser.add_argument("--failures", action="store_true", help="print what fails, with schema and reason")
    parser.add_argument("--wrong", action="store_true", help="like --failures, without what is refused")
    parser.add_argument("--reasons", action="store_true", help="count refusals by their message")
    parser.add_argument("--seed", type=int, default=0, help="of white space, order of keys, escapes, numbers")
    parser.add_argument("--update", action="store_true", help="rewrite the baseline, keeping its reasons")
    options = parser.parse_args(arguments)
    if archive() is None:
        print(f"no {official_suite.ARCHIVE} in $STRUCTGEN_DATA or ../shared/data", file=sys.stderr)
        return 2
    if options.update:
        update()
        return 0
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    begin, total, failed, reasons = time.process_time(), 0, 0, Counter[str]()
    for draft in options.draft or DRAFTS:
        for file in files(draft):
            if options.file and file not in options.file and file.split("/")[-1] not in options.file:
                continue
            found = [
                case for case in cases(draft, file) if not options.case or options.case in case.description
            ]
            found = [case for case in found if not options.section or case.section in options.section]
            deviations = [deviation for case in found for deviation in judge(case, options.seed)]
            tests = sum(len(case.tests) for case in found)
            if tests:
                _print_file(draft, file, tests, deviations)
            total, failed = total + tests, failed + len(deviations)
            reasons.update(item.detail for item in deviations if item.kind == "refused")
            if options.failures or options.wrong:
                _print_failures([item for item in deviations if options.failures or item.kind != "refused"])
    print(f"{total - failed} of {total} tests pass; {time.process_time() - begin:.1f} s")
    if options.reasons:
        for reason, count in reasons.most_common():
            print(f"{count:6} {reason}")
    return int(failed > 0)


def _print_file(draft: str, file: str, tests: int, deviations: list[Deviation]) -> None:
    kinds = Counter(deviation.kind for deviation in deviations)
    counts = "  ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
    print(f"{draft:8} {file:36} {tests - len(deviations):4}/{tests:<4} {counts}".rstrip(), flush=True)


def _print_failures(deviations: list[Deviation]) -> None:
    last = None
    for found in deviations:
        if found.case is not last:
            print(f"    {found.case.description}\n      schema {compact(found.case.schema)}")
            if found.kind == "refused":
                print(f"      refused: {found.detail}")
        if found.kind != "refused":
            print(f"      {found.kind}: {found.test.description}\n        {found.detail}")
        last = found.case


if __name__ == "__main__":
    sys.exit(main())
