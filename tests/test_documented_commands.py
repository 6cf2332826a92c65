"""Every command and every example of the documentation is run, or it is said why not.

Commands stand in blocks of ``sh`` and ``bash``, in blocks without a language, in indented lines and in
backticks. `WAYS` says for each what is done with it: a new one fails here until it has an entry. Those of a
page run in one folder, in the order of the page. ``tests/cli/test_docs.py`` runs ``console`` blocks.
"""

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import structgen
from jsonschemabench.cli import main as jsonschemabench
from structgen.cli import cli as structgen_cli
from tests.cli.support import REPOSITORY

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGES = sorted(
    str(path.relative_to(REPOSITORY))
    for pattern in ("README.md", "CONTRIBUTING.md", "docs/*.md", "examples/README.md", "examples/*/README.md")
    for path in REPOSITORY.glob(pattern)
)
_BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PROGRAM = r"(?:[A-Z_]+=\S+ )*(?:python3?|structgen|make|man|pip|ray|pytest|pre-commit) \S|\.ci/run\b"
_SHELL, _CONSOLE = ("sh", "bash"), ("docs/cli.md", "README.md")
_EXAMPLE = re.compile(r"^\| `(\w+\.py)` \|", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """Run it, with a reduction if there is one.

    Attributes
    ----------
    more : str
        Options that come after the others, which they replace.
    instead : str
        What is run in its place; a name in capitals is a placeholder of the page.
    why : str
        Why it is not run as it stands.
    """

    more: str = ""
    instead: str = ""
    why: str = ""


@dataclass(frozen=True)
class Elsewhere:
    """A test of another file runs it: ``path::name``."""

    by: str


@dataclass(frozen=True)
class NotRun:
    """Nothing runs it, and why."""

    why: str


BENCH = "python -m jsonschemabench"
ONE = "--data small --sample 2 --vocabulary bytes --engines structgen"
SMALL = f"{ONE},llguidance"
DATA = "schemas of the package in place of MaskBench's, and few; engines that start fast; bytes for tekken"
FEW = "figures need many tasks, that it runs needs one"
MODEL = "--tasks 1 --seeds 1 --particles 2 --methods unconstrained,local,mask-smc"
PAPER = "tests/bench/test_repetition.py::test_the_command_takes_the_published_prompts"
RAY_DATA = "tests/integrations/test_ray.py::test_killed_workers_and_drivers_lose_and_double_nothing"
CLUSTER = "tests/bench/test_runs.py::test_a_node_of_a_ray_cluster_dies_mid_run"
SUITE = "the folder suite has a few tests in place of the official archive"
PAIR = "a small run that this test makes first, and copies of it"


def dry(target: str) -> Run:
    """Make's own account of a target: it builds the environment that these tests run in."""
    return Run(
        instead=f'make -C "$ROOT" --dry-run {target}', why="builds or uses .venv, where these tests run"
    )


WAYS: dict[str, Run | Elsewhere | NotRun] = {
    # -- make and what it needs
    "make demo": Elsewhere("tests/hf/test_demo.py::test_the_demo_generates_valid_objects"),
    "make test": dry("test"),
    "make setup": dry("setup"),
    "make build": dry("build"),
    "make lint": dry("lint"),
    "make man": Elsewhere("tests/cli/test_frame.py::test_man_pages_are_up_to_date"),
    "make sanitize": dry("sanitize"),
    "make bench DATA=maskbench-dev.tar.xz": dry("bench DATA=maskbench-dev.tar.xz"),
    "make wheel": dry("wheel"),
    'make wheel PYTHONS="python3.10 python3.11 python3.12"': dry(
        'wheel PYTHONS="python3.10 python3.11 python3.12"'
    ),
    "make wheel-test": dry("wheel-test"),
    ".ci/run": Run(instead='bash -n "$ROOT/.ci/run"', why="it runs these tests"),
    "STRUCTGEN_MASKBENCH=all pytest tests/bench/test_maskbench.py": NotRun("minutes; a sample is always run"),
    "python -m tests.json_schema.official": Run(
        "--help", why="the suite is not everywhere; its own test runs it"
    ),
    "pip install '.[hf,bench,peers]'": NotRun("make setup installs them"),
    "pip install structgen[hf]": NotRun("make wheel-test installs; that extras exist is tested below"),
    "pip install structgen[pydantic]": NotRun("as above"),
    "pip install structgen[ray,hf]": NotRun("as above"),
    'pip install "structgen[hf]" tqdm': NotRun("as above"),
    # -- structgen
    "python -m structgen": Run("--help"),
    "structgen COMMAND --help": Run(instead="structgen check --help"),
    "structgen bench ARGUMENTS": Run(instead="structgen bench --help"),
    "man structgen": Elsewhere("tests/cli/test_frame.py::test_man_pages_are_up_to_date"),
    "man structgen-validate": Elsewhere("tests/cli/test_frame.py::test_man_pages_are_up_to_date"),
    # -- examples
    "python examples/demo/run.py": Elsewhere("tests/hf/test_demo.py::test_the_demo_generates_valid_objects"),
    **{f"python examples/{path.name}": Run() for path in sorted((REPOSITORY / "examples").glob("*.py"))},
    "python examples/ray_batch.py": Elsewhere(RAY_DATA),
    "python examples/server.py": Elsewhere("tests/integrations/test_server.py::test_the_example_runs"),
    "python examples/tiny_model/corpus.py --documents 5": Run(),
    "python examples/tiny_model/train.py": Elsewhere(
        "tests/tiny_model/test_tiny_model.py::test_training_script_in_a_few_steps"
    ),
    "python examples/tiny_model/train.py --threads 1 --minutes 30": Elsewhere(
        "tests/tiny_model/test_tiny_model.py::test_training_script_in_a_few_steps"
    ),
    "python examples/tiny_model/train_quality.py": Run(
        "--steps 1 --output weights", why="trains for minutes"
    ),
    "python examples/tiny_model/train_code.py": NotRun("parses the standard library and trains, for minutes"),
    "python docs/plot_samplers.py": Run("--runs 2 --draws 20 --into images", why="averages over many runs"),
    "python docs/plot_diversity.py": Run("--tasks 1 --seeds 1 --into images", why=FEW),
    # -- benchmarks
    BENCH: Run("--help"),
    f"{BENCH} ARGUMENTS": Run(instead=f"{BENCH} --help"),
    f"{BENCH} masks --engines structgen,llguidance,xgrammar,outlines_core --data maskbench-dev.tar.xz "
    "--sample 500 --seed 0 --out results.jsonl": Run(SMALL, why=DATA),
    f"{BENCH} report results.jsonl --list 5": Run(),
    f"{BENCH} masks --engines structgen --property-order any --failures failures.txt": Run(ONE, why=DATA),
    f"{BENCH} masks --engines structgen,llguidance --sample 100 --fresh-process-every 1": Run(ONE, why=DATA),
    f"{BENCH} masks --engines structgen,llguidance --data maskbench-dev.tar.xz": Run(ONE, why=DATA),
    f"{BENCH} masks --engines structgen,llama_cpp --data maskbench-dev.tar.xz --sample 60 --seed 1 "
    "--timeout 150": Run(ONE, why=DATA),
    f"{BENCH} masks --engines structgen,llguidance --sample 40 --seed 1 --fresh-process-every 1": Run(
        ONE, why=DATA
    ),
    f"{BENCH} suite --data json-schema-test-suite.tar.xz --markdown suite.md --by group": Run(
        "--data suite --engines structgen", why=SUITE
    ),
    f"{BENCH} suite --data json-schema-test-suite.tar.xz --draft 7 --draft 2020-12 --section required "
    "--timeout 5 --by group --markdown suite.md": Run("--data suite --engines structgen", why=SUITE),
    f"{BENCH} samplers --quick": Run(
        "--cases schema:person --vocabulary bytes --positions 1 --draws 20 --predicate-draws 1 --asked 1",
        why=FEW,
    ),
    f"{BENCH} samplers --genlm-python genlm/bin/python --out samplers.jsonl": Elsewhere(
        "tests/bench/test_samplers.py::test_the_peer_runs_on_the_same_rows"
    ),
    f"{BENCH} samplers --genlm-python PATH": Elsewhere(
        "tests/bench/test_samplers.py::test_the_peer_runs_on_the_same_rows"
    ),
    f"{BENCH} diversity": Run("--fields captions --tasks 1 --seeds 1", why=FEW),
    f"{BENCH} diversity --quick": Run("--fields captions --tasks 1 --seeds 1", why=FEW),
    f"{BENCH} diversity --out diversity.jsonl --markdown diversity.md": Run(
        "--fields captions --tasks 1 --seeds 1", why=FEW
    ),
    f"{BENCH} memory --engine structgen --sample 6000": Run(
        "--data small --sample 200 --vocabulary bytes", why=DATA
    ),
    f"{BENCH} memory --engine structgen --sample 6000 --limit 1024": Run(
        "--data small --sample 200 --vocabulary bytes", why=DATA
    ),
    f"{BENCH} cache": Run("--data small --sample 3 --vocabulary bytes --runs 1", why=DATA),
    f"{BENCH} cache --sample 2000": Run("--data small --sample 3 --vocabulary bytes --runs 1", why=DATA),
    f"{BENCH} quality": Run(f"--domains sql {MODEL}", why=FEW),
    f"{BENCH} quality --out quality.jsonl": Run(f"--domains patterns {MODEL}", why=FEW),
    f"{BENCH} quality --domains sql,records --particles 10 --out quality.jsonl --markdown quality.md": Run(
        f"{MODEL} --out other.jsonl", why=f"{FEW}; another file, as the other command's has other domains"
    ),
    **{
        f"{BENCH} repetition{rest}": Run(
            "--prompts 1 --seeds 1 --max-new-tokens 4 --kinds synthetic --methods greedy,temperature", why=FEW
        )
        for rest in (
            "",
            " --quick",
            " --out repetition.jsonl",
            " --out repetition.jsonl --markdown repetition.md",
        )
    },
    f"{BENCH} repetition --data RPG/datasets --model CodeLlama-7b-hf --device cuda --max-new-tokens 1024 "
    "--prompts 1000": Elsewhere(PAPER),
    f"{BENCH} repetition-overhead": Run(
        "--only records --tokens 12 --repeats 1 --limit 1e9", why="how long it takes is nothing for a test"
    ),
    f"{BENCH} load --quick": Run("--data small --vocabulary bytes", why=DATA),
    f"{BENCH} load --budget 64 --out load.json": Run("--quick --data small --vocabulary bytes", why=DATA),
    "python docs/plot_load.py load.json": Run("--into images"),
    f"{BENCH} import-time": Run("--runs 1 --limit 60000", why="how long it takes is nothing for a test"),
    f"{BENCH} lark": Run("--limit 1 --vocabulary bytes", why="the whole standard library takes minutes"),
    f"{BENCH} run": Run(
        f"--measure masks --out runs/one {SMALL}", why="a run wants a file or flags; " + DATA
    ),
    f"{BENCH} run --engines structgen,llguidance --sample 200 --out runs/today": Run(ONE, why=DATA),
    f"{BENCH} run examples/bench/maskbench-600.toml --workers 4": Run(
        f"{ONE} --report reports --workers 2", why=DATA
    ),
    f"{BENCH} run examples/bench/maskbench-600.toml --workers 4 --resume": Run(
        f"{ONE} --report reports --workers 2", why=DATA
    ),
    "ray start --head": Elsewhere(CLUSTER),
    f"{BENCH} run examples/bench/maskbench-600.toml --ray auto": Elsewhere(CLUSTER),
    f"{BENCH} report runs/both": Run(why=PAIR),
    f"{BENCH} report runs/old runs/new --html report.html --markdown report.md --csv rows.csv --quiet": Run(
        why=PAIR
    ),
    f"{BENCH} compare runs/old runs/new --engines structgen --relative-to llguidance": Run(
        "--max-slower 100000 --max-memory 100000",
        why=f"{PAIR}; how fast a machine is at it is nothing for a test",
    ),
    f"{BENCH} gpu": Elsewhere("tests/bench/test_gpu.py::test_the_command_on_a_small_shape"),
    f"{BENCH} gpu --short --out gpu-short": Elsewhere(
        "tests/bench/test_gpu.py::test_the_command_on_a_small_shape"
    ),
    f"{BENCH} gpu --out gpu-whole": Elsewhere("tests/bench/test_gpu.py::test_the_command_on_a_small_shape"),
    f"{BENCH} forced": Run("--samples 1 --max-tokens 200", why=FEW),
    f"{BENCH} forced --samplers smc asap mcmc": Elsewhere(
        "tests/bench/test_gpu.py::test_passes_of_samplers_that_weigh_tokens_are_counted"
    ),
    f"{BENCH} kernels": Elsewhere("tests/bench/test_kernels.py::test_without_a_gpu_it_says_so"),
    f"{BENCH} freeze --sample 600": Elsewhere("tests/bench/test_freeze.py::test_the_command"),
    f"{BENCH} freeze --sample 600 --closed": Elsewhere("tests/bench/test_freeze.py::test_the_command"),
    f"{BENCH} exact --runs 500 --particles 5": Elsewhere("tests/bench/test_exact.py::test_the_command"),
    f"{BENCH} run --measure outputs --data small --engines structgen,xgrammar --outputs 5 "
    "--out runs/outputs": (
        Elsewhere("tests/bench/test_outputs.py::test_a_run_of_outputs_is_kept_resumed_and_reported")
    ),
    "OPENAI_BASE_URL=http://localhost:8000/v1 OPENAI_MODEL=my-model "
    f"{BENCH} run --measure outputs --engines openai": (
        Elsewhere("tests/bench/test_hosted.py::test_a_run_of_a_hosted_model")
    ),
    "python -m sglang.launch_server --model-path ... --grammar-backend structgen": NotRun(
        "SGLang is not among the requirements; its interface is tested in tests/integrations"
    ),
}


def documented(page: str) -> list[str]:
    """Return the commands of a page in its order, each once."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    found: list[str] = []
    place = 0
    for block in _BLOCK.finditer(text):
        found += _prose(text[place : block.start()])
        place = block.end()
        lines = re.sub(r"\\\n\s*", "", block[2]).splitlines()
        if block[1] in _SHELL:
            found += [line for line in lines if line and not line.startswith("#")]
        elif not block[1]:
            found += [re.split(r"\s+#", line)[0] for line in lines if re.match(_PROGRAM, line)]
    found += _prose(text[place:])
    return list(dict.fromkeys(found))


def _prose(text: str) -> list[str]:
    """Return the commands of indented lines, of backticks, and of a table of examples, in their order."""
    places = [*re.finditer(rf"^    ((?:{_PROGRAM}).*)$", text, re.MULTILINE)]
    places += re.finditer(rf"`((?:{_PROGRAM})[^`]*)`", text)
    found = [(match.start(), match[1]) for match in places]
    found += [(match.start(), f"python examples/{match[1]}") for match in _EXAMPLE.finditer(text)]
    return [command for _, command in sorted(found)]


COMMANDS = [(page, command) for page in PAGES for command in documented(page)]


def test_every_command_is_run_or_has_a_reason() -> None:
    found = {command for _, command in COMMANDS}
    assert found - set(WAYS) == set(), "commands of the documentation that no test runs"
    assert set(WAYS) - found == set(), "entries for commands that the documentation does not have"
    for command, way in WAYS.items():
        if isinstance(way, Elsewhere):
            file, _, name = way.by.partition("::")
            assert f"def {name}(" in (REPOSITORY / file).read_text(encoding="utf-8"), command
        elif isinstance(way, NotRun):
            assert way.why


def test_commands_are_found_wherever_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (
        "`make a b` and `python x` but `python.x`\n\n    pip install y\n\n```sh\n# why\nls \\\n    -l\n```\n"
    )
    page += (
        "```\nmake c   # a remark\nprinted\n```\n```text\nmake d\n```\n| `e.py` | an example |\n`.ci/run`\n"
    )
    (tmp_path / "page.md").write_text(page)
    monkeypatch.setitem(globals(), "REPOSITORY", tmp_path)
    assert documented("page.md") == [
        "make a b", "python x", "pip install y", "ls -l", "make c", "python examples/e.py", ".ci/run"
    ]  # fmt: skip


def test_extras_that_are_named_exist() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = set()
    for page in PAGES:
        for extras in re.findall(r"structgen\[([\w,]+)\]", (REPOSITORY / page).read_text(encoding="utf-8")):
            named |= set(extras.split(","))
    assert named
    assert named <= set(project["optional-dependencies"])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands run: a folder that looks like a checkout, as far as they read it."""
    here = tmp_path / "checkout"
    here.mkdir()
    for name in ("examples", "docs", "tests"):
        (here / name).symlink_to(REPOSITORY / name)
    tests = [
        {"description": "one", "data": 1, "valid": True},
        {"description": "two", "data": "a", "valid": False},
    ]
    for draft in ("draft7", "draft2020-12"):
        file = here / "suite" / "tests" / draft / "type.json"
        file.parent.mkdir(parents=True)
        file.write_text(
            json.dumps([{"description": "made up", "schema": {"type": "integer"}, "tests": tests}])
        )
    monkeypatch.chdir(here)
    monkeypatch.setenv("ROOT", str(REPOSITORY))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    return here


def run_words(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a command in this process where it is Python, which spares the imports; return its status."""
    try:
        if words[:3] == ["python", "-m", "jsonschemabench"]:
            return jsonschemabench(words[3:])
        if words[0] == "structgen" or words[:3] == ["python", "-m", "structgen"]:
            return int(
                structgen_cli.main(words[1 if words[0] == "structgen" else 3 :], standalone_mode=False) or 0
            )
        monkeypatch.setattr(sys, "argv", words[1:])
        if words[:2] == ["python", "-m"]:
            monkeypatch.setattr(sys, "argv", words[2:])
            monkeypatch.delitem(sys.modules, words[2], raising=False)
            runpy.run_module(words[2], run_name="__main__", alter_sys=True)
            return 0
        if words[0] == "python":
            monkeypatch.syspath_prepend(str(Path(words[1]).parent.resolve()))
            runpy.run_path(words[1], run_name="__main__")
            return 0
    except SystemExit as stop:
        return int(stop.code or 0)
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    return subprocess.run([os.path.expandvars(word) for word in words], timeout=120, check=False).returncode


@pytest.mark.parametrize("page", [page for page in PAGES if documented(page)])
def test_commands_run(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = torch.get_num_threads()
    if any("runs/old" in command for command in documented(page)):
        assert jsonschemabench(f"run --measure masks --out runs/old {SMALL}".split()) == 0
        for name in ("new", "both"):
            shutil.copytree("runs/old", f"runs/{name}")
    try:
        for command in documented(page):
            way = WAYS[command]
            if isinstance(way, Run):
                words = shlex.split(way.instead or f"{command} {way.more}", comments=False)
                with monkeypatch.context() as patch:
                    assert run_words(words, patch) == 0, shlex.join(words)
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class Examples:
    """The Python blocks of a page, run one after the other in one namespace.

    Attributes
    ----------
    given : tuple of str
        What the page takes as given: names of `GIVEN`.
    first : int
        How many blocks at the beginning another test runs.
    """

    given: tuple[str, ...] = ()
    first: int = 0


def _get_weather(city: str) -> str:
    """The weather."""
    return city


BYTES = structgen.Vocabulary([*(bytes([value]) for value in range(256)), b"<eos>"], eos_token_ids=256)
GIVEN = {"vocabulary": BYTES, "structgen": structgen, "get_weather": _get_weather}
# A test runs those of the other pages.
EXAMPLES: dict[str, Examples | Elsewhere | NotRun] = {
    "README.md": Examples(("vocabulary", "structgen", "get_weather"), first=3),
    "docs/caching.md": Examples(("vocabulary",)),
    "docs/explain.md": Elsewhere(
        "tests/json_schema/test_explain.py::test_the_example_of_the_documentation_prints_what_it_says"
    ),
    "docs/generate.md": Examples(),
    "docs/gbnf.md": Examples(("vocabulary",)),
    "docs/gpu.md": Examples(),
    "docs/integrations.md": NotRun("it starts vLLM and others; tests/integrations has them"),
    "docs/kernels.md": Examples(),
    "docs/lark.md": Examples(("vocabulary",)),
    "docs/ray.md": NotRun("it has a model and GPUs as given; tests/integrations/test_ray.py runs the same"),
    "docs/samplers.md": Elsewhere("tests/samplers/test_guide.py::test_the_examples_run"),
    "docs/speculative.md": Examples(),
    "docs/tool-calls.md": Examples(("vocabulary",)),
    "docs/types.md": Elsewhere("tests/types/test_guide.py::test_the_examples_run"),
    "examples/README.md": Examples(),
    "examples/tiny_model/README.md": Examples(),
}


def examples(page: str) -> list[str]:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    return [block[2] for block in _BLOCK.finditer(text) if block[1] == "python"]


def test_every_page_with_examples_is_known() -> None:
    assert {page for page in PAGES if examples(page)} == set(EXAMPLES)
    for way in EXAMPLES.values():
        if isinstance(way, Elsewhere):
            file, _, name = way.by.partition("::")
            assert f"def {name}(" in (REPOSITORY / file).read_text(encoding="utf-8")
    # Another test runs the first three, each with what it takes as given.
    assert (REPOSITORY / "tests/test_readme.py").read_text(encoding="utf-8").count("EXAMPLES[") == 3


@pytest.mark.parametrize("page", [page for page, way in EXAMPLES.items() if isinstance(way, Examples)])
def test_examples_run(page: str, folder: Path) -> None:
    way = EXAMPLES[page]
    assert isinstance(way, Examples)
    names: dict[str, Any] = {"__name__": "page", **{name: GIVEN[name] for name in way.given}}
    for example in examples(page)[way.first :]:
        exec(compile(example, page, "exec", dont_inherit=True), names)
    for name, automaton in names.items():
        if isinstance(automaton, structgen.TokenAutomaton):
            assert automaton.mask(automaton.start).any(), name


def test_console_blocks_are_on_the_pages_that_are_run() -> None:
    text = {page: (REPOSITORY / page).read_text(encoding="utf-8") for page in PAGES}
    assert {page for page in PAGES if "```console" in text[page]} == set(_CONSOLE)
    languages = {block[1].partition(" ")[0] for page in PAGES for block in _BLOCK.finditer(text[page])}
    assert languages <= {"", "sh", "bash", "console", "python", "text", "toml", "json", "yaml"}
