"""llama.cpp's grammars as an engine: over a stand-in always, over llama-cpp-python where it is installed."""

from __future__ import annotations

import ctypes
import json
import struct
import sys
import types
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import structgen
from jsonschemabench import gguf as our_gguf
from jsonschemabench import vocabularies
from jsonschemabench.engines import CompileError, EngineUnavailableError, SchemaInput
from jsonschemabench.engines.llama_cpp import LlamaCppEngine
from jsonschemabench.vocabularies import BenchVocabulary

# Every byte, and tokens that llama.cpp has to spell as they are: parts of characters, controls, spaces.
TOKENS = (
    b"",
    *(bytes([byte]) for byte in range(256)),
    b'{"',
    b'":',
    b"\xe6\x97",
    b"\xa5\xe6",
    b" \t\n",
    b"ab",
    b"",
)
VOCABULARY = BenchVocabulary("mixed", TOKENS, 0, (0, len(TOKENS) - 1), "")
GBNF = 'root ::= "[" ("ab"+ | [0-9]) "]" | "日本"'


def read_gguf(data: bytes) -> dict[str, Any]:
    """Read values of a GGUF file, as its specification says."""
    position = 0

    def take(form: str) -> Any:
        nonlocal position
        (value,) = struct.unpack_from("<" + form, data, position)
        position += struct.calcsize("<" + form)
        return value

    def text() -> str:
        nonlocal position
        length = take("Q")
        position += length
        return data[position - length : position].decode()

    def value(kind: int) -> Any:
        if kind == 9:
            of = take("I")
            return [value(of) for _ in range(take("Q"))]
        return text() if kind == 8 else take({4: "I", 5: "i"}[kind])

    assert take("4s") == b"GGUF"
    assert (take("I"), take("Q")) == (3, 0)
    values = {}
    for _ in range(take("Q")):
        name = text()
        values[name] = value(take("I"))
    assert position == len(data)
    return values


class TokenData(ctypes.Structure):
    _fields_ = (("id", ctypes.c_int32), ("logit", ctypes.c_float), ("p", ctypes.c_float))


class TokenDataArray(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.POINTER(TokenData)),
        ("size", ctypes.c_size_t),
        ("selected", ctypes.c_int64),
        ("sorted", ctypes.c_bool),
    )


class Sampler:
    def __init__(self, automaton: structgen.TokenAutomaton) -> None:
        self.automaton, self.state = automaton, automaton.start


class Library(types.ModuleType):
    """The functions of ``llama_cpp`` that the adapter calls; its grammars are ours."""

    llama_token_data_array = TokenDataArray
    llama_token_data_p = ctypes.POINTER(TokenData)
    llama_log_callback = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)

    def __init__(self) -> None:
        super().__init__("llama_cpp")
        self.live: set[Sampler] = set()
        self.log: Any = None
        self.takes_vocabulary = True
        self.llama_grammar = types.ModuleType("llama_cpp.llama_grammar")
        vars(self.llama_grammar)["json_schema_to_gbnf"] = self.json_schema_to_gbnf

    @staticmethod
    def json_schema_to_gbnf(schema: str) -> str:
        value = json.loads(schema)
        if "grammar" not in value:
            raise KeyError("grammar")
        return str(value["grammar"])

    def llama_log_set(self, callback: Any, data: Any) -> None:
        self.log = callback

    def llama_model_default_params(self) -> Any:
        return types.SimpleNamespace(vocab_only=False)

    def llama_model_load_from_file(self, file: bytes, parameters: Any) -> Any:
        assert parameters.vocab_only
        if not self.takes_vocabulary:
            self.log(4, b"no such tokens", None)
            return None
        values = read_gguf(Path(file.decode()).read_bytes())
        shown = {char: byte for byte, char in enumerate(our_gguf.byte_characters())}
        tokens = []
        kinds = values["tokenizer.ggml.token_type"]
        for spelling, kind in zip(values["tokenizer.ggml.tokens"], kinds, strict=True):
            tokens.append(bytes(shown[char] for char in spelling) if kind == 1 else b"")
        return structgen.Vocabulary(tokens, eos_token_ids=values["tokenizer.ggml.eos_token_id"])

    def llama_model_get_vocab(self, model: Any) -> Any:
        return model

    def llama_sampler_init_grammar(self, vocabulary: Any, grammar: bytes, root: bytes) -> Any:
        try:
            automaton = structgen.compile_gbnf(grammar.decode(), vocabulary, root=root.decode())
        except structgen.GrammarError as error:
            self.log(4, str(error).encode(), None)
            return None
        return self.made(Sampler(automaton))

    def made(self, sampler: Sampler) -> Sampler:
        self.live.add(sampler)
        return sampler

    def llama_sampler_clone(self, sampler: Sampler) -> Sampler:
        assert sampler in self.live
        copy = Sampler(sampler.automaton)
        copy.state = sampler.state
        return self.made(copy)

    def llama_sampler_free(self, sampler: Sampler) -> None:
        self.live.remove(sampler)

    def llama_sampler_apply(self, sampler: Sampler, candidates: Any) -> None:
        assert sampler in self.live
        mask = sampler.automaton.mask(sampler.state)
        bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
        held = candidates.contents
        for i in range(held.size):
            assert held.data[i].id == i
            if not bits[i]:
                held.data[i].logit = -np.inf

    def llama_sampler_accept(self, sampler: Sampler, token: int) -> None:
        assert sampler in self.live
        sampler.state = sampler.automaton.step(sampler.state, token)
        assert sampler.state != structgen.DEAD, "llama.cpp aborts"


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    stand_in = Library()
    monkeypatch.setitem(sys.modules, "llama_cpp", stand_in)
    monkeypatch.setitem(sys.modules, "llama_cpp.llama_grammar", stand_in.llama_grammar)
    return stand_in


@pytest.fixture
def real() -> None:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")


@pytest.fixture(params=["library", "real"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[LlamaCppEngine]:
    """The adapter; a schema is ``{"grammar": GBNF}``."""
    request.getfixturevalue(request.param)
    adapter = LlamaCppEngine(VOCABULARY)
    adapter._to_gbnf = Library.json_schema_to_gbnf
    yield adapter
    adapter.release()


def schema_of(grammar: str) -> SchemaInput:
    value = {"grammar": grammar}
    return SchemaInput(json.dumps(value), value)


def ids(*tokens: bytes | int) -> list[int]:
    return [token if isinstance(token, int) else TOKENS.index(token) for token in tokens]


def allowed(engine: LlamaCppEngine) -> list[int]:
    return [token for token in range(VOCABULARY.size) if engine.bits[token >> 5] >> (token & 31) & 1]


def test_masks_and_verdicts(engine: LlamaCppEngine) -> None:
    engine.compile(schema_of(GBNF))
    engine.first_mask()
    assert allowed(engine) == ids(b"[", b"\xe6", b"\xe6\x97")
    times = array("q")
    walks = {
        (b"[", b"ab", b"a", b"b", b"]"): 6,
        (b"[", b"7", b"]"): 4,
        (b"[", b"ab"): 2,
        (b"[", b"7", b"8"): 2,
        (b'{"',): 0,
        (b"\xe6\x97", b"\xa5\xe6", b"\x9c", b"\xac"): 5,
        (b"\xe6", b"\x97", b"\xa5\xe6", b"\x9d"): 3,
        (b"[", len(TOKENS) - 1): 1,
    }
    for number, (tokens, accepted) in enumerate(walks.items()):
        assert engine.walk(ids(*tokens), times) == accepted
        assert len(times) == sum(min(n + 1, len(t) + 1) for t, n in list(walks.items())[: number + 1])
    assert min(times) > 0


def test_outputs_go_on_from_masks(engine: LlamaCppEngine) -> None:
    engine.compile(schema_of(GBNF))
    engine.begin()
    for token in ids(b"[", b"ab"):
        engine.fill()
        assert token in allowed(engine)
        engine.take(token)
    engine.fill()
    assert allowed(engine) == ids(b"]", b"a", b"ab") or sorted(allowed(engine)) == sorted(
        ids(b"]", b"a", b"ab")
    )
    engine.begin()
    engine.fill()
    assert ids(b"[")[0] in allowed(engine)


def test_refusals_are_compile_errors(engine: LlamaCppEngine) -> None:
    with pytest.raises(CompileError, match="KeyError: 'grammar'"):
        engine.compile(SchemaInput("{}", {}))
    with pytest.raises(CompileError, match=r"nothing|failed to parse grammar"):
        engine.compile(schema_of("root ::= nothing"))
    engine.release()
    # The next schema is none the worse.
    engine.compile(schema_of(GBNF))
    assert engine.walk(ids(b"[", b"7", b"]"), array("q")) == 4


def test_nothing_is_left_behind(library: Library) -> None:
    engine = LlamaCppEngine(VOCABULARY)
    engine._to_gbnf = Library.json_schema_to_gbnf
    for grammar in (GBNF, "root ::= (", GBNF):
        try:
            engine.compile(schema_of(grammar))
            engine.walk(ids(b"["), array("q"))
            engine.begin()
        except CompileError:
            pass
        engine.release()
        assert not library.live


def test_a_vocabulary_that_is_refused(library: Library) -> None:
    library.takes_vocabulary = False
    with pytest.raises(EngineUnavailableError, match="refuses the vocabulary: no such tokens"):
        LlamaCppEngine(VOCABULARY)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    with pytest.raises(EngineUnavailableError, match=r"pip install 'structgen\[llama-cpp\]'"):
        LlamaCppEngine(VOCABULARY)


def test_the_file_spells_every_token(tmp_path: Path) -> None:
    our_gguf.write_vocabulary(VOCABULARY, tmp_path / "v.gguf")
    values = read_gguf((tmp_path / "v.gguf").read_bytes())
    assert values["tokenizer.ggml.token_type"] == [3, *[1] * (len(TOKENS) - 2), 5]
    spelling = "".join(our_gguf.byte_characters())
    assert len(set(spelling)) == 256
    assert not any(char.isspace() for char in spelling)
    assert values["tokenizer.ggml.tokens"][257] == '{"'
    gguf = pytest.importorskip("gguf", reason="gguf, which reads the file, is not installed")
    field = gguf.GGUFReader(tmp_path / "v.gguf").fields["tokenizer.ggml.tokens"]
    assert field.contents() == values["tokenizer.ggml.tokens"]


@pytest.mark.usefixtures("real")
@pytest.mark.parametrize("name", ["tekken", "bytes"])
def test_llama_cpp_spells_every_token(name: str, tmp_path: Path) -> None:
    import llama_cpp

    try:
        vocabulary = vocabularies.load(name)
    except vocabularies.VocabularyError as error:
        pytest.skip(str(error))
    our_gguf.write_vocabulary(vocabulary, tmp_path / "v.gguf")
    llm = llama_cpp.Llama(str(tmp_path / "v.gguf"), vocab_only=True, verbose=False)
    read = structgen.Vocabulary.from_llama_cpp(llm)
    llm.close()
    assert read.eos_token_ids == (vocabulary.eos_token_id,)
    for token, data in enumerate(vocabulary.tokens):
        if token != vocabulary.eos_token_id and len(data) <= 32:
            assert read.tokens[token] == data
