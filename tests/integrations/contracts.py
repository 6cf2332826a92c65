"""The interfaces of vLLM 0.33.0 and SGLang 0.5.23, as far as our classes meet them.

Where a server is installed its own classes are used, else these: written after the interfaces that
``vllm/v1/sample/logits_processor/interface.py``,
``vllm/v1/worker/gpu/sample/logits_processor/interface.py`` and
``sglang/srt/constrained/base_grammar_backend.py`` document.
"""

import dataclasses
import enum
import importlib
import importlib.machinery
import sys
import types
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor


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
