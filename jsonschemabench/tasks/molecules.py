"""Molecules in SMILES with the atoms and rings that the prompt asks for, judged by RDKit."""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from jsonschemabench.engines import EngineUnavailableError
from jsonschemabench.tasks.base import Domain, Task

if TYPE_CHECKING:
    from structgen import TokenAutomaton, Vocabulary

#: pieces of a chain, each bound on both sides by single bonds: text, atoms beside carbon, rings
_PIECES: tuple[tuple[str, str, int], ...] = (
    ("C", "", 0),
    ("CC", "", 0),
    ("C(C)", "", 0),
    ("C(=O)", "O", 0),
    ("C=C", "", 0),
    ("C(F)", "F", 0),
    ("C(Cl)", "Cl", 0),
    ("C(O)", "O", 0),
    ("C(N)", "N", 0),
    ("c1ccc({})cc1", "", 1),
    ("C1CC({})CC1", "", 1),
    ("N1CCC({})CC1", "N", 1),
    ("c1cc({})cnc1", "N", 1),
    ("C1CC1({})", "", 1),
)
_LINKS = (("O", "O"), ("N", "N"), ("S", "S"), ("", ""), ("", ""), ("", ""))
_ENDS = (("C", ""), ("C#N", "N"), ("C(=O)O", "OO"), ("F", "F"), ("Cl", "Cl"), ("OC", "O"), ("N(C)C", "N"))
_COUNTED = {"O": "oxygen", "N": "nitrogen", "F": "fluorine", "S": "sulfur", "Cl": "chlorine"}

_TOKEN = re.compile(r"\[[^\]]*\]|Br|Cl|%[0-9]{2}|.", re.DOTALL)
_BONDS = "-=#$:/\\"


class Molecules(Domain):
    """SMILES; the predicate is that RDKit makes a molecule of it.

    An unfinished text is refused when its atoms already have more bonds than they can, a ring closure
    joins an atom to itself or to a neighbour, or there are two molecules. Which atoms and rings there should
    be is in the prompt alone.
    """

    name = "molecules"
    max_tokens = 48

    def require(self) -> None:
        """Import RDKit."""
        _chem()

    def make(self, rng: random.Random) -> Task:
        """Return the composition of a random molecule; the molecule is the reference."""
        text, counts, rings = _tail(rng, rng.randint(1, 3))
        text, counts = "C" + text, counts + Counter("C")
        parts = [f"{counts[symbol]} {word}" for symbol, word in _COUNTED.items() if counts[symbol]]
        parts += [f"{rings} ring{'s' if rings > 1 else ''}"] if rings else []
        asked = ", ".join(parts) or "carbon only"
        data = {"atoms": {symbol: counts[symbol] for symbol in _COUNTED}, "rings": rings}
        size = "small" if len(text) < 12 else "medium" if len(text) < 20 else "large"
        return Task(f"SMILES {size}\n{asked}\n", text, data)

    def constraint(self, task: Task, vocabulary: Vocabulary) -> TokenAutomaton:
        """Return the automaton of SMILES."""
        import structgen

        return structgen.compile_lark("grammars:smiles", vocabulary)

    def possible(self, task: Task, text: str) -> bool:
        """Return whether the atoms so far, with branches closed and open rings left out, are a molecule."""
        closed = close(text)
        if not closed:
            return closed is not None
        if "." in text:
            return False
        chem = _chem()
        molecule = chem.MolFromSmiles(closed, sanitize=False)
        if molecule is None:
            return False
        # Valences only: what is still missing may yet make rings aromatic.
        flags = chem.SanitizeFlags.SANITIZE_PROPERTIES
        failed = chem.SanitizeMol(molecule, sanitizeOps=flags, catchErrors=True)
        return bool(failed == chem.SanitizeFlags.SANITIZE_NONE)

    def permitted(self, task: Task, text: str) -> bool:
        """Return whether RDKit reads a molecule with at least one atom, in one piece."""
        return molecule_of(text) is not None and self.possible(task, text)

    def correct(self, task: Task, text: str) -> bool:
        """Return whether it is a molecule with exactly the atoms (beside carbon) and rings asked for."""
        molecule = molecule_of(text)
        if molecule is None:
            return False
        counts = Counter(atom.GetSymbol() for atom in molecule.GetAtoms())
        if set(counts) - {"C", "H", *_COUNTED}:
            return False
        same = all(counts[symbol] == number for symbol, number in task.data["atoms"].items())
        return same and molecule.GetRingInfo().NumRings() == task.data["rings"]


def _tail(rng: random.Random, pieces: int) -> tuple[str, Counter[str], int]:
    """Return what follows an atom of a chain: text, atoms beside carbon, rings."""
    if pieces == 0:
        text, atoms = rng.choice(_ENDS)
        return text, _atoms(atoms), 0
    link, linked = rng.choice(_LINKS)
    piece, atoms, rings = rng.choice(_PIECES)
    if piece[0] == "N" and link:
        link, linked = "", ""  # no bonds between two of these
    rest, more, others = _tail(rng, pieces - 1)
    # A ring around a rest with rings has a number of its own.
    whole = piece.replace("1", str(pieces)).format(rest) if "{}" in piece else piece + rest
    return link + whole, _atoms(linked) + _atoms(atoms) + more, rings + others


def _atoms(symbols: str) -> Counter[str]:
    return Counter(re.findall(r"Cl|.", symbols))


def close(text: str) -> str | None:
    """Return the SMILES of the atoms of an unfinished one: whole atoms, branches closed, open rings left out.

    None where a branch is closed that was never opened.
    """
    start = text.rfind("[")
    if "]" not in text[start:]:
        text = text[:start] if start >= 0 else text
    text = re.sub(r"%[0-9]?$", "", text)
    tokens = _TOKEN.findall(text)
    open_rings: dict[str, int] = {}
    dropped: set[int] = set()
    depth = 0
    for i, token in enumerate(tokens):
        if token == "(":
            depth += 1
        elif token == ")":
            depth -= 1
            if depth < 0:
                return None
        elif token[0] == "%" or token.isdigit():
            # %12 and 12 are not the same, but %01 and 1 are, which the grammar excludes.
            if token in open_rings:
                del open_rings[token]
            else:
                open_rings[token] = i
    for i in open_rings.values():
        dropped.add(i)
        if i > 0 and tokens[i - 1] in _BONDS:
            dropped.add(i - 1)
    kept = [token for i, token in enumerate(tokens) if i not in dropped]
    while kept and (kept[-1] in _BONDS or kept[-1] in "(."):
        depth -= kept[-1] == "("
        kept.pop()
    return "".join(kept) + ")" * depth


def molecule_of(text: str) -> Any:
    """Return RDKit's molecule of a SMILES of one piece; None where there is none."""
    # RDKit takes what follows white space as a name.
    if not text or "." in text or any(c.isspace() for c in text):
        return None
    return _chem().MolFromSmiles(text)


def _chem() -> Any:
    try:
        from rdkit import Chem, rdBase
    except ImportError as error:
        raise EngineUnavailableError(
            f"the molecules need RDKit ({error}): pip install rdkit, or leave them out with --domains"
        ) from error
    rdBase.DisableLog("rdApp.*")  # it reports every refusal on stderr
    return Chem
