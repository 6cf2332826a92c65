"""The interfaces of vLLM 0.33.0, SGLang 0.5.23, llama-cpp-python 0.3.36 and MLX 0.32.4 that our classes meet.

Where a server is installed its own classes are used, else these: written after the interfaces that
``vllm/v1/sample/logits_processor/interface.py``,
``vllm/v1/worker/gpu/sample/logits_processor/interface.py`` and
``sglang/srt/constrained/base_grammar_backend.py`` document. :class:`LlamaLoop` is written after
``Llama.generate`` and ``Llama._init_sampler`` of ``llama_cpp/llama.py``.
"""

import ctypes
import dataclasses
import enum
import importlib
import importlib.machinery
import sys
import types
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor

import numpy as np


class BatchLogitsProcessor(ABC):
    """vllm.v1.sample.logits_processor.LogitsProcessor."""

    @classmethod
    def validate_params(cls, sampling_params):
        return None

    @abstractmethod
    def __init__(self, vllm_config, device, is_pin_memory): ...
    @abstractmethod
    def apply(self, logits): ...
    @abstractmethod
    def is_argmax_invariant(self): ...
    @abstractmethod
    def update_state(self, batch_update): ...


class MoveDirectionality(enum.Enum):
    UNIDIRECTIONAL = enum.auto()
    SWAP = enum.auto()


@dataclasses.dataclass(frozen=True)
class BatchUpdate:
    batch_size: int
    removed: list
    added: list
    moved: list


class SlotLogitsProcessor(ABC):
    """vllm.v1.worker.gpu.sample.logits_processor.LogitsProcessor."""

    def __init__(self, vllm_config, req_states):
        return None

    @classmethod
    def validate_params(cls, sampling_params):
        return None

    def add_request(self, req_idx, sampling_params):
        return True

    def apply_staged_writes(self):
        return None

    @abstractmethod
    def apply(self, logits, ctx): ...


@dataclasses.dataclass(frozen=True)
class LogitsContext:
    expanded_idx_mapping: object
    idx_mapping: object
    idx_mapping_np: object
    expanded_local_pos: object
    input_ids: object
    pos: object
    seq_lens_upper_bound_np: object


class BaseGrammarObject:
    def __init__(self):
        self._finished = False
        self.grammar_stats = None
        self.current_token = None

    def maybe_init_reasoning(self, reasoning): ...

    @property
    def finished(self):
        return self._finished

    @finished.setter
    def finished(self, finished):
        self._finished = finished


class InvalidGrammarObject(BaseGrammarObject):
    def __init__(self, error_message="Unknown grammar error"):
        super().__init__()
        self.error_message = error_message


class BaseGrammarBackend:
    def __init__(self):
        self.executor = ThreadPoolExecutor()
        self.cache = {}

    def _init_value_dispatch(self, key, require_reasoning):
        kind, text = key
        return getattr(self, f"dispatch_{kind}")(text)

    def get_cached_or_future_value(self, key, require_reasoning):
        if value := self.cache.get(key):
            copied = value.copy()
            copied.maybe_init_reasoning(require_reasoning)
            return copied, True
        return self.executor.submit(self._init_value_dispatch, key, require_reasoning), False

    def set_cache(self, key, value):
        self.cache[key] = value


class LlamaTokenData(ctypes.Structure):
    """llama_cpp.llama_token_data."""

    _fields_ = (("id", ctypes.c_int32), ("logit", ctypes.c_float), ("p", ctypes.c_float))


class LlamaLoop:
    """llama_cpp.Llama, which calls processors from C: what they raise is printed, and changes nothing.

    Parameters
    ----------
    logits : callable
        The model: from token ids to logits, float32, shape ``(V,)``.
    """

    def __init__(self, logits):
        self.logits = logits
        self.input_ids = np.full(512, -1, np.intc)

    def generate(self, tokens, processors, draw):
        """Yield tokens that `draw` chooses among the candidates, an array of records."""
        n_tokens = 0
        while True:
            self.input_ids[n_tokens : n_tokens + len(tokens)] = tokens
            n_tokens += len(tokens)
            seen = self.input_ids[:n_tokens]
            logits = self.logits(seen.tolist())
            data = (LlamaTokenData * len(logits))()

            def apply(address, seen=seen, size=logits.size):
                recarray = np.recarray(
                    shape=(size,),
                    dtype=np.dtype([("id", np.intc), ("logit", np.single), ("p", np.single)], align=True),
                    buf=(LlamaTokenData * size).from_address(address),
                )
                for processor in processors:
                    recarray.logit[:] = processor(seen, recarray.logit)

            candidates = np.frombuffer(data, np.dtype([("id", "i4"), ("logit", "f4"), ("p", "f4")]))
            candidates["id"], candidates["logit"] = np.arange(len(logits)), logits
            ctypes.CFUNCTYPE(None, ctypes.c_size_t)(apply)(ctypes.addressof(data))
            token = int(draw(candidates))
            yield token
            tokens = [token]


REGISTRY = {}
CHOICES = ["xgrammar", "none"]


def _stand_in(name, **content):
    """Make an importable module `name`, with the packages around it."""
    parts = name.split(".")
    for i in range(1, len(parts) + 1):
        path = ".".join(parts[:i])
        module = sys.modules.get(path)
        if module is None:
            module = sys.modules[path] = types.ModuleType(path)
            module.__path__ = []
            module.__spec__ = importlib.machinery.ModuleSpec(path, None)
            if i > 1:
                setattr(sys.modules[".".join(parts[: i - 1])], parts[i - 1], module)
    vars(sys.modules[name]).update(content)


def _missing(name):
    try:
        importlib.import_module(name)
    except ImportError:
        return True
    return False


VLLM_IS_REAL = not _missing("vllm.v1.sample.logits_processor")
SGLANG_IS_REAL = not _missing("sglang.srt.constrained.base_grammar_backend")
MLX_IS_REAL = not _missing("mlx.core")

_OF_MLX = (
    "arange",
    "array",
    "bool_",
    "finfo",
    "float16",
    "float32",
    "inf",
    "maximum",
    "pad",
    "right_shift",
    "uint32",
    "where",
)


def install():
    """Make the interfaces importable, the real ones if they are there."""
    if not VLLM_IS_REAL:
        _stand_in(
            "vllm.v1.sample.logits_processor",
            LogitsProcessor=BatchLogitsProcessor,
            BatchUpdate=BatchUpdate,
            MoveDirectionality=MoveDirectionality,
        )
        _stand_in(
            "vllm.v1.worker.gpu.sample.logits_processor",
            LogitsProcessor=SlotLogitsProcessor,
            LogitsContext=LogitsContext,
        )
        _stand_in(
            "vllm.tokenizers", cached_tokenizer_from_config=lambda model_config: model_config.tokenizer_object
        )
    if not SGLANG_IS_REAL:
        _stand_in(
            "sglang.srt.constrained.base_grammar_backend",
            BaseGrammarBackend=BaseGrammarBackend,
            BaseGrammarObject=BaseGrammarObject,
            InvalidGrammarObject=InvalidGrammarObject,
            GRAMMAR_BACKEND_REGISTRY=REGISTRY,
            register_grammar_backend=REGISTRY.__setitem__,
        )
        _stand_in("sglang.srt.server_args", GRAMMAR_BACKEND_CHOICES=CHOICES)


def uninstall():
    """Take the stand-ins back, and what was imported with them."""
    for name in list(sys.modules):
        top = name.partition(".")[0]
        stands_in = (top == "vllm" and not VLLM_IS_REAL) or (top == "sglang" and not SGLANG_IS_REAL)
        if stands_in or name in ("structgen.integrations.vllm", "structgen.integrations.sglang"):
            del sys.modules[name]


def install_mlx():
    """Make ``mlx.core`` importable: the real one, or what NumPy has by the same names."""
    if not MLX_IS_REAL:
        _stand_in("mlx.core", **{name: getattr(np, name) for name in _OF_MLX})


def uninstall_mlx():
    """Take the stand-in back, and what was imported with it."""
    for name in list(sys.modules):
        if name == "structgen.integrations.mlx" or (name.partition(".")[0] == "mlx" and not MLX_IS_REAL):
            del sys.modules[name]
