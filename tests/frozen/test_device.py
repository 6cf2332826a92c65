"""``DeviceAutomaton`` next to its tables: both backends, both layouts; an interpreter stands in for a GPU."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

import structgen  # noqa: E402
from structgen import DEAD, FINISHED  # noqa: E402
from structgen.frozen import DeviceAutomaton, FrozenTables, freeze_tables  # noqa: E402

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
PLACES = [("torch", "cpu")]
if torch.cuda.is_available():
    PLACES += [("torch", "cuda"), ("triton", "cuda"), ("auto", "cuda")]
if INTERPRETED:
    PLACES += [("triton", "cpu")]
places = pytest.mark.parametrize(("backend", "device"), PLACES)
layouts = pytest.mark.parametrize("dense_bytes", [1 << 30, 0], ids=["dense", "sparse"])

# Ends of the vocabulary, of words and of rows; two end tokens, one in the middle.
VOCABULARY = structgen.Vocabulary(
    [b"a", b"b", b"", b"ab", b"0", *(f"{n}".encode() for n in range(1, 40)), b'"', b""],
    eos_token_ids=[2, 45],
    logits_size=70,
)


def frozen(dense_bytes: int) -> FrozenTables:
    automaton = structgen.compile_regex('a(b|0)*(1[0-9]|"){0,3}|b{4}', VOCABULARY)
    return freeze_tables(automaton, dense_bytes=dense_bytes)


def allowed_tokens(tables: FrozenTables, state: int) -> list[bool]:
    return [tables.step(state, token) != DEAD for token in range(tables.logits_size)]


@places
@layouts
def test_every_state_and_every_token(backend: str, device: str, dense_bytes: int) -> None:
    tables = frozen(dense_bytes)
    automaton = DeviceAutomaton(tables, device, backend=backend)
    tokens = torch.tensor([*range(-2, 75), 2**31 - 1], device=device)
    for state in range(tables.states):
        states = torch.full(tokens.shape, state, dtype=torch.int32, device=device)
        wanted = [tables.step(state, token) for token in tokens.tolist()]
        assert automaton.step(states, tokens).tolist() == wanted
        assert automaton.step(states, tokens.int(), out=states) is states
        assert states.tolist() == wanted
    every = torch.arange(tables.states, dtype=torch.int32, device=device)
    assert automaton.accepts(every).tolist() == [tables.accepts(s) for s in range(tables.states)]
    assert automaton.finished(every).tolist() == [s in (DEAD, FINISHED) for s in range(tables.states)]
    for width in (70, 71, 128):
        logits = automaton.apply_(torch.zeros((tables.states, width), device=device), every)
        kept = [[*allowed_tokens(tables, s), *[False] * (width - 70)] for s in range(tables.states)]
        assert logits.isfinite().tolist() == kept


@places
@layouts
def test_what_is_no_state_is_dead(backend: str, device: str, dense_bytes: int) -> None:
    automaton = DeviceAutomaton(frozen(dense_bytes), device, backend=backend)
    states = torch.tensor([-1, automaton.states, 2**31 - 1, -(2**31)], dtype=torch.int32, device=device)
    assert automaton.step(states, torch.zeros(4, dtype=torch.long, device=device)).tolist() == [DEAD] * 4
    assert not automaton.accepts(states).any()
    assert automaton.apply_(torch.zeros((4, 70), device=device), states).isneginf().all()
    assert automaton.start(3).tolist() == [2, 2, 2]
    none = automaton.start(0)
    assert automaton.step(none, none).shape == (0,)
    assert automaton.apply_(torch.zeros((0, 70), device=device), none).shape == (0, 70)


@places
@settings(max_examples=15, deadline=None)
@given(st.data())
def test_logits_of_every_shape(backend: str, device: str, data: st.DataObject) -> None:
    tables = frozen(0)
    automaton = DeviceAutomaton(tables, device, backend=backend)
    states = data.draw(st.lists(st.integers(0, tables.states - 1), min_size=1, max_size=4))
    width = data.draw(st.sampled_from([70, 96, 1030]))
    dtype = data.draw(st.sampled_from([torch.float32, torch.float16, torch.bfloat16]))
    fill = data.draw(st.sampled_from([-math.inf, -1000.0]))
    plain = torch.randn((len(states), width)).to(dtype).to(device)
    plain[:, 3] = math.nan
    logits = plain.clone()
    if data.draw(st.booleans()):
        logits = logits.T.contiguous().T
    every_other = torch.zeros(2 * len(states), dtype=torch.int32, device=device)
    every_other[::2] = torch.tensor(states, dtype=torch.int32)
    automaton.apply_(logits, every_other[::2], fill=fill)
    for row, state in enumerate(states):
        kept = np.array([*allowed_tokens(tables, state), *[False] * (width - 70)])
        assert torch.equal(logits[row, kept].nan_to_num(7), plain[row, kept].nan_to_num(7))
        assert (logits[row, ~kept] == fill).all()


@layouts
def test_nothing_is_read_by_the_host(dense_bytes: int) -> None:
    """What reads a tensor's values breaks a graph, and that is an error here."""
    automaton = DeviceAutomaton(frozen(dense_bytes))

    def decode(logits: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        automaton.apply_(logits, states)
        tokens = logits.argmax(-1)
        automaton.step(states, tokens, out=states)
        return tokens

    torch._dynamo.reset()
    compiled = torch.compile(decode, fullgraph=True, backend="eager")
    torch.manual_seed(0)
    mine, theirs = automaton.start(3), automaton.start(3)
    for _ in range(6):
        logits = torch.randn((3, 96))
        assert torch.equal(compiled(logits.clone(), mine), decode(logits.clone(), theirs))
        assert torch.equal(mine, theirs)
    # It would show: a branch on a state can't be compiled.
    branching = torch.compile(lambda s: s + 1 if s[0] > 1 else s, fullgraph=True, backend="eager")
    with pytest.raises(torch._dynamo.exc.Unsupported):
        branching(mine)


def test_freeze_is_a_method_of_automata() -> None:
    lazy = structgen.compile_regex("(ab)*", VOCABULARY)
    automaton = lazy.freeze(max_states=10, dense_bytes=0)
    assert isinstance(automaton, DeviceAutomaton)
    assert automaton.tables.layout == "sparse"
    assert repr(automaton).startswith(f"<DeviceAutomaton: {automaton.states} states, ")
    assert automaton.nbytes == sum(array.nbytes for array in automaton.tables.arrays().values())
    assert automaton.to("cpu") is automaton
    with pytest.raises(structgen.LimitError, match="max_states = 1 "):
        lazy.freeze(max_states=1)


def test_what_does_not_fit_is_refused() -> None:
    automaton = DeviceAutomaton(frozen(0))
    states, tokens = automaton.start(2), torch.zeros(2, dtype=torch.long)
    for wrong, error, text in [
        (lambda: automaton.step(states.long(), tokens), TypeError, "states are int32"),
        (lambda: automaton.step(states, tokens.float()), TypeError, "tokens are"),
        (lambda: automaton.step(states, tokens[:1]), ValueError, "tokens have shape"),
        (lambda: automaton.step(states, tokens, out=states[:1]), ValueError, "out must"),
        (lambda: automaton.step(states[None], tokens[None]), ValueError, "states have shape"),
        (lambda: automaton.apply_(torch.zeros((2, 69)), states), ValueError, "another model"),
        (lambda: automaton.apply_(torch.zeros((3, 70)), states), ValueError, "logits have shape"),
        (lambda: automaton.apply_(tokens[:, None], states), TypeError, "floating point"),
        (lambda: DeviceAutomaton(automaton.tables, backend="cuda"), ValueError, "backend"),
    ]:
        with pytest.raises(error, match=text):
            wrong()


@pytest.mark.skipif(INTERPRETED, reason="this is the interpreter")
def test_triton_runs_in_its_interpreter() -> None:
    pytest.importorskip("triton")
    # Triton reads the variable once, when it is imported.
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", Path(__file__).name, "-k", "triton"],
        cwd=Path(__file__).parent,
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@pytest.mark.skipif(INTERPRETED, reason="Triton interprets")
@layouts
@pytest.mark.filterwarnings("ignore:.*FP_FUSION.*")
def test_kernels_compile_for_a_gpu(dense_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    triton = pytest.importorskip("triton")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from structgen.kernels import _frozen_triton

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))

    def ptx(kernel: object, pointers: dict[str, str], constants: dict[str, object]) -> str:
        signature = dict.fromkeys(kernel.arg_names, "i32") | pointers | dict.fromkeys(constants, "constexpr")
        source = ASTSource(kernel, signature, constexprs=constants)
        found = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 4})
        return str(found.asm["ptx"])

    pointers = dict.fromkeys(("states", "out", "class_of_token"), "*i32") | {"tokens": "*i64"}
    rows = ("row_begin", "row_class", "row_next")
    present, absent = (("next_state",), rows) if dense_bytes else (rows, ("next_state",))
    pointers |= dict.fromkeys(present, "*i32")
    constants = {"halvings": 6, "block": _frozen_triton.ROWS} | dict.fromkeys(absent)
    step = ptx(_frozen_triton._step_kernel, pointers, constants)
    assert "st.global.b32" in step
    for dtype, bits in (("fp32", 32), ("bf16", 16)):
        pointers = {
            "logits": f"*{dtype}",
            "states": "*i32",
            "class_of_token": "*i32",
            "allowed": "*i32",
            "fill": "fp32",
        }
        apply = ptx(_frozen_triton._apply_kernel, pointers, {"block": _frozen_triton.BLOCK, "logits_step": 1})
        # The logits are written, never read.
        assert f"st.global.b{bits}" in apply
        assert "ld.global.b16" not in apply
