"""Loads the small language model that the repository trains for its demos, tests and benchmarks.

Its training is in ``examples/tiny_model`` of the source checkout; wheels have the model inside the package.
It writes plausible JSON, SQL and Python, offline, at a few milliseconds a token.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

__all__ = ["load", "path"]

_VARIABLE = "STRUCTGEN_TINY_MODEL"
_INSIDE = Path("examples", "tiny_model", "weights")
# Where wheels have it.
_PACKAGED = Path(__file__).resolve().parent / "weights"
_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def path() -> Path:
    """Return the folder of the model's files, for ``from_pretrained``.

    The environment variable ``STRUCTGEN_TINY_MODEL`` names the folder if it is set. Otherwise it is
    inside the package where it was installed from a wheel, or else ``examples/tiny_model/weights`` in the
    checkout that this module lies in, in the working directory or in one of its parents.

    Returns
    -------
    pathlib.Path
        An absolute path; the files of model and tokenizer are there.

    Raises
    ------
    FileNotFoundError
        No such folder holds the files; the message lists the folders that were tried.
    """
    chosen = os.environ.get(_VARIABLE)
    if chosen:
        candidates = [Path(chosen)]
    else:
        here = Path.cwd()
        roots = (Path(__file__).resolve().parents[2], here, *here.parents)
        candidates = [_PACKAGED, *(root / _INSIDE for root in roots)]
    for folder in candidates:
        if all((folder / name).is_file() for name in _FILES):
            return folder.resolve()
    tried = "\n".join(f"  {folder}" for folder in dict.fromkeys(candidates))
    raise FileNotFoundError(
        f"the tiny model was not found; run in a checkout of structgen, train it with "
        f"`python examples/tiny_model/train.py`, or set {_VARIABLE} to its folder; none of these has all of "
        f"{', '.join(_FILES)}:\n{tried}"
    )


def load(**options: Any) -> "tuple[LlamaForCausalLM, PreTrainedTokenizerFast]":
    """Load the tiny model and its tokenizer, without any network access.

    Parameters
    ----------
    **options
        Passed on to ``AutoModelForCausalLM.from_pretrained``, for instance ``dtype``.

    Returns
    -------
    model : transformers.LlamaForCausalLM
        A fresh model in evaluation mode, float32 unless `options` say otherwise, on the CPU.
    tokenizer : transformers.PreTrainedTokenizerFast
        Its tokenizer. ``<|endoftext|>`` begins and ends texts, ``<|pad|>`` fills; neither is added by itself.

    Raises
    ------
    FileNotFoundError
        As for `path`.
    ModuleNotFoundError
        torch or transformers is not installed; they come with ``structgen[hf]``.

    Examples
    --------
    >>> from structgen.testing import tiny_model
    >>> model, tokenizer = tiny_model.load()
    >>> model.config.vocab_size == len(tokenizer)
    True
    """
    folder = path()
    try:
        import torch  # noqa: F401  transformers without torch fails later and less clearly
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the tiny model needs torch and transformers: install structgen[hf] ({error})", name=error.name
        ) from error
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, **options)
    model.eval()
    return model, tokenizer
