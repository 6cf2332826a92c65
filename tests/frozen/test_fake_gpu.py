"""Decoding on a GPU, as far as that shows without one: on fake tensors, in a process of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

HERE = Path(__file__).parent


@pytest.mark.skipif(torch.backends.cuda.is_built(), reason="needs no stand-in: there are tests on a GPU")
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
def test_devices_are_kept_apart_and_the_host_reads_nothing(tmp_path: Path) -> None:
    root = Path(torch.__file__).parent
    library = tmp_path / "fake_gpu.so"
    options = [
        "-shared",
        "-fPIC",
        "-std=c++20",
        f"-I{root}/include",
        f"-L{root}/lib",
        f"-Wl,-rpath,{root}/lib",
    ]
    subprocess.run(
        ["g++", *options, str(HERE / "fake_gpu.cpp"), "-o", str(library), "-Wl,--no-as-needed", "-lc10"],
        check=True,
    )
    done = subprocess.run(
        [sys.executable, str(HERE / "fake_gpu.py"), str(library)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
