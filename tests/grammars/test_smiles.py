"""The grammar of SMILES against RDKit, whose reader is told to leave chemistry aside."""

import random
import re

import pytest
from rdkit import Chem, RDLogger

from tests.grammars.sentences import Sentences, load, mutate, parses, texts

RDLogger.DisableLog("rdApp.*")

PARSER = load("smiles")
CORPUS = texts("smiles.txt", "")

REJECTED = """
= .C C. C..C C= C== =C C==C C(.C C) (C)C C() C((C))C C(C CC.(C) C(=) C(C=) C(.) C[] [] [C [C]] ]C C!C C~
R A D T X c- cl br si [Q] [J] [X] [D] [T] [cl] [CL] [al] [sc] [CAT] [Nn] [Ab] Cu Na Fe At H Ts [13] [C13]
[+C] [H3C] [C+H] [C-H3] [C:1H] [C:1+] [C+-] [C-+] [C+++] [C---] [C--2] [H@] [C@@@] [C@TH3] [C@TH0]
[C@AL3] [C@SP4] [C@TB0] [C@TB21] [C@OH31] [C@OH99] [C@XX1] [C@th1] [C@@TH1] [CH@] [CHH] [CH1H] [C:] [C:a]
[C::1] [C:-1] [13C13] [1.5C] [-1C] [C,N] [C;H1] [!C] [C&1] [[C]] C% C%1 C%1CC%1 C%%1 % 1 1C -1 (1)
C(1)CC1 C(=1)CC1 C1(=2) {C} 'C' C'C é λ C＝C
""".split()

# What the grammar leaves out on purpose, and RDKit takes. Each has an example, so that none is there in vain.
LEFT_OUT: list[tuple[str, str, str]] = [
    ("atomic numbers", "[13#6]", r"\[\d*#"),
    ("ring closure numbers in parentheses", "C%(123)CC%(123)", r"%\("),
    ("bonds of no order and dative bonds", "C~C", r"~|->|<-"),
    ("aromatic elements beyond the specification", "[te]", r"\[\d*(?:te|si)"),
    ("a ring closure behind a branch", "C(C)1CC1", r"\)[-=#$:/\\]?[\d%]"),
    ("hydrogen counts of two digits", "[CH12]", r"H\d\d"),
    ("hydrogens of hydrogen", "[HH]", r"\[\d*H(?:@\w*)?H"),
    ("a bond written with two backslashes", "C\\\\C", r"\\\\"),
    ("chiralities without a number", "[C@TH]", r"@(?:TH|AL|SP|TB|OH)(?!\d)"),
    ("isotopes of four digits", "[1000C]", r"\[\d{4}"),
    ("charges of three digits", "[C+100]", r"[-+]\d{3}"),
    ("classes of ten digits", "[C:1000000000]", r":\d{10}"),
    ("names behind a molecule and space around it", " C", r"\s"),
    ("provisional names of elements", "[Uuo]", r"Uu"),
]

LEXEME = re.compile(r"\[[^\]]*\]|Br|Cl|(?P<ring>[-=#$:/\\]?(?:\d|%\d\d))|.", re.DOTALL)


def unpaired(smiles: str) -> list[int]:
    """Return where the ring closures of a sentence are that RDKit must refuse, none if all is well.

    Those are closures without a partner, of an atom with itself, and of atoms that are bonded already.
    """
    wrong: list[int] = []
    opened: dict[int, tuple[int, int]] = {}
    bonded: set[frozenset[int]] = set()
    branches: list[int] = []
    atom, atoms, dot = -1, 0, True
    for lexeme in LEXEME.finditer(smiles):
        text = lexeme[0]
        if lexeme["ring"]:
            number = int(text.lstrip("-=#$:/\\%"))
            if number not in opened:
                opened[number] = atom, lexeme.start()
                continue
            partner, _ = opened.pop(number)
            if partner == atom or frozenset((partner, atom)) in bonded:
                wrong.append(lexeme.start())
            bonded.add(frozenset((partner, atom)))
        elif text == "(":
            branches.append(atom)
        elif text == ")":
            atom = branches.pop()
        elif text == ".":
            dot = True
        elif text not in "-=#$:/\\":
            if not dot:
                bonded.add(frozenset((atom, atoms)))
            atom, atoms, dot = atoms, atoms + 1, False
    return wrong + [position for _, position in opened.values()]


def rdkit_reads(smiles: str) -> bool:
    parameters = Chem.SmilesParserParams()
    parameters.sanitize = False
    parameters.removeHs = False
    parameters.allowCXSMILES = False
    parameters.parseName = False
    return Chem.MolFromSmiles(smiles, parameters) is not None


def check(smiles: str) -> None:
    if parses(PARSER, smiles):
        assert rdkit_reads(smiles) == (not unpaired(smiles)), smiles
    elif rdkit_reads(smiles):
        assert any(re.search(pattern, smiles) for _, _, pattern in LEFT_OUT), smiles


@pytest.mark.parametrize("smiles", ["", *CORPUS])
def test_molecules_are_accepted(smiles: str) -> None:
    assert rdkit_reads(smiles)
    assert parses(PARSER, smiles)


@pytest.mark.parametrize("smiles", REJECTED)
def test_texts_that_are_no_molecules_are_rejected(smiles: str) -> None:
    assert not rdkit_reads(smiles)
    assert not parses(PARSER, smiles)


@pytest.mark.parametrize(
    ("smiles", "pattern"), [(s, p) for _, s, p in LEFT_OUT], ids=[n for n, _, _ in LEFT_OUT]
)
def test_what_is_left_out_is_what_rdkit_adds(smiles: str, pattern: str) -> None:
    assert rdkit_reads(smiles)
    assert not parses(PARSER, smiles)
    assert re.search(pattern, smiles)


@pytest.mark.parametrize("smiles", ["C(.C)", "C%01CC%01", "[013C]", "[C+02]", "[C:01]"])
def test_what_rdkit_refuses_of_the_specification_is_left_out(smiles: str) -> None:
    assert not rdkit_reads(smiles)
    assert not parses(PARSER, smiles)


@pytest.mark.parametrize("smiles", ["C1", "C1CC2", "C11", "C1C1", "C12CC12", "C1CC1C1"])
def test_ring_closures_are_beyond_the_grammar(smiles: str) -> None:
    assert parses(PARSER, smiles)
    assert unpaired(smiles)
    assert not rdkit_reads(smiles)


@pytest.mark.parametrize("number", range(1, 119))
def test_every_element_has_its_symbol(number: int) -> None:
    symbol = Chem.GetPeriodicTable().GetElementSymbol(number)
    assert parses(PARSER, f"[{symbol}]")
    assert parses(PARSER, f"[2{symbol}+]")
    check(symbol)
    check(f"[{symbol.lower()}]")


def test_symbols_of_two_letters_are_those_of_the_elements() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    for first in letters + letters.upper():
        for second in ["", *letters]:
            check(f"[{first}{second}]")
            check(f"{first}{second}")


def test_what_rdkit_writes_is_accepted() -> None:
    for smiles in CORPUS:
        molecule = Chem.MolFromSmiles(smiles)
        for seed in range(4) if molecule is not None else ():
            bonds, hydrogens = seed == 1, seed == 2
            for text in Chem.MolToRandomSmilesVect(molecule, 2, seed, False, False, bonds, hydrogens):
                assert parses(PARSER, text) or any(re.search(p, text) for _, _, p in LEFT_OUT), text


SAMPLES = {
    "BOND": list("-=#$:/\\"),
    "RING_CLOSURE": ["1", "1", "2", "0", "=1", "-2", "%10", "/%10", "#2"],
    "ALIPHATIC": ["C", "C", "C", "N", "O", "Cl", "Br", "B", "S", "P", "F", "I"],
    "AROMATIC": list("bcnops"),
    "ISOTOPE": ["0", "1", "13", "235", "999"],
    "ELEMENT": ["C", "N", "O", "Fe", "Hg", "He", "Sc", "Sn", "Co", "Cs", "Og", "U", "W", "Y", "K", "V"],
    "AROMATIC_SYMBOL": ["c", "n", "se", "as", "s", "b", "o", "p"],
    "CHIRALITY": ["@", "@@", "@TH1", "@AL2", "@SP3", "@TB1", "@TB10", "@TB20", "@OH9", "@OH30"],
    "HYDROGENS": ["H", "H0", "H3", "H9"],
    "CHARGE": ["+", "-", "++", "--", "+0", "-1", "+9", "-15", "+99"],
    "CLASS": [":0", ":1", ":42", ":999999999"],
}  # fmt: skip


def repaired(smiles: str) -> str:
    """Return a sentence without the ring closures that RDKit must refuse."""
    while wrong := unpaired(smiles):
        position = max(wrong)
        lexeme = LEXEME.match(smiles, position)
        assert lexeme is not None
        smiles = smiles[:position] + smiles[lexeme.end() :]
    return smiles


def test_sentences_of_the_grammar_are_molecules() -> None:
    rng = random.Random(1)
    sentences = Sentences(PARSER, SAMPLES)
    made = set()
    for _ in range(1_500):
        raw = "".join(sentences.make(rng, size=rng.choice([10, 40, 200])))
        assert parses(PARSER, raw)
        smiles = repaired(raw)
        assert parses(PARSER, smiles)
        assert rdkit_reads(smiles), smiles
        made.add(smiles)
    assert len(made) > 500


def test_changed_texts_are_accepted_by_both_or_by_neither() -> None:
    rng = random.Random(2)
    sentences = Sentences(PARSER, SAMPLES)
    pieces = [*"CNOcnso[]()=#-+.:/\\%@H0123456789*$~ &\n", *"Cl Br Sc se %12 [C@H] @@ ++ @TB2".split()]
    for source in range(4_000):
        text = CORPUS[source % len(CORPUS)] if source % 2 else "".join(sentences.make(rng, size=20))
        check(mutate(rng, text, pieces))
