"""Answers each line ``{"kind": "domain" | "problem", "text": str, "read": bool}`` with what ``pddl`` says.

It runs in an environment of its own, because that package needs an older lark, and imports nothing of ours.
An answer is ``{"tokens": [[type, start, end], ...] | null, "error": str | null}``: the lexemes if the
package's grammar takes the text, and, if asked for, the error that its reader raises, also about meaning.
"""

import json
import sys
from typing import Any

from lark import Lark, Token, UnexpectedInput
from pddl.parser import GRAMMAR_FILE
from pddl.parser.domain import DomainParser
from pddl.parser.problem import ProblemParser

READERS = {"domain": DomainParser, "problem": ProblemParser}
# The readers check the meaning while they parse, so the syntax has parsers of its own.
SYNTAX = {
    kind: Lark(GRAMMAR_FILE.read_text(), parser="lalr", start=kind, keep_all_tokens=True) for kind in READERS
}  # fmt: skip


def answer(kind: str, text: str, read: bool) -> dict[str, Any]:
    try:
        tree = SYNTAX[kind].parse(text)
    except UnexpectedInput:
        return {"tokens": None, "error": "syntax"}
    tokens = sorted(
        (t.start_pos, t.end_pos, t.type) for t in tree.scan_values(lambda v: isinstance(v, Token))
    )
    error = None
    if read:
        try:
            READERS[kind]()(text)
        except Exception as failure:  # whatever it is, the text was not read
            error = f"{type(failure).__name__}: {failure}"
    return {"tokens": [[name, start, end] for start, end, name in tokens], "error": error}


for line in sys.stdin:
    print(json.dumps(answer(**json.loads(line))), flush=True)
