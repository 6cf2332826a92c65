"""Hugging Face Transformers: constrained ``model.generate`` (extra ``structgen[hf]``)."""

try:
    import torch as _torch  # noqa: F401
    import transformers as _transformers  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"structgen.hf needs PyTorch and Transformers ({error}): pip install 'structgen[hf]'"
    ) from error

from structgen.hf._beams import DiverseBeamGeneration, diverse_beam_search
from structgen.hf._frozen import FrozenLogitsProcessor, generate_frozen
from structgen.hf._processor import AutomatonLogitsProcessor
from structgen.hf._repetition import GrammarRepetitionPenalty
from structgen.hf._smc import SMCDecoderOnlyOutput, SMCGeneration, smc

__all__ = [
    "AutomatonLogitsProcessor",
    "DiverseBeamGeneration",
    "FrozenLogitsProcessor",
    "GrammarRepetitionPenalty",
    "SMCDecoderOnlyOutput",
    "SMCGeneration",
    "diverse_beam_search",
    "generate_frozen",
    "smc",
]
