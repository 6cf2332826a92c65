"""Answers for each line ``{"kind": "domain" | "problem", "text": ...}`` what the ``pddl`` package says about a text.

It runs in an environment of its own, because that package needs an older lark, and imports nothing of ours. An
answer is ``{"syntax": bool, "error": str | null}``: whether the package's grammar takes the text, and the error, also about
meaning, that its reader raises.
"""

import json
import sys

from lark import Lark, UnexpectedInput
from pddl.parser import GRAMMAR_FILE
from pddl.parser.domain import DomainParser
from pddl.parser.problem import ProblemParser

# The readers check the meaning while they parse, so the syntax has a parser of its own.
SYNTAX = {kind: Lark(GRAMMAR_FILE.read_text(), parser="lalr", start=kind) for kind in ("domain", "problem")}
READERS = {"domain": DomainParser, "problem": ProblemParser}

for line in sys.stdin:
    request = json.loads(line)
    answer = {"syntax": True, "error": None}
    try:
        SYNTAX[request["kind"]].parse(request["text"])
    except UnexpectedInput:
        answer["syntax"] = False
    if request["read"]:
        try:
            READERS[request["kind"]]()(request["text"])
        except Exception as error:
            answer["error"] = f"{type(error).__name__}: {error}"
    print(json.dumps(answer), flush=True)
