"""Language models by the names that commands take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from structgen.cli._common import UnusableInputError
from structgen.cli._inspect import Inspector, shown
from structgen.cli._vocabularies import Named

if TYPE_CHECKING:
    from structgen._vocabulary import Vocabulary

# Tokens that are told.
_MOST_LIKELY = 8


@dataclass(frozen=True)
class Likely:
    """A token that a model finds likely.

    Attributes
    ----------
    token : str
        Its text.
    token_id : int
        Its id.
    probability : float
        What the model gives it.
    share : float
        What it has of the probability of all that is allowed; 0 where it is refused.
    reason : str or None
        Why it is refused; None where it is allowed.
    """

    token: str
    token_id: int
    probability: float
    share: float
    reason: str | None


def load_model(name: str) -> tuple[Any, Any]:
    """Load a causal model of transformers and its tokenizer: ``tiny``, a folder, or a name.

    Raises
    ------
    UnusableInputError
        There is no such model, or transformers is not installed.
    """
    try:
        import torch  # noqa: F401  transformers without torch fails later and less clearly
        import transformers
    except ImportError as error:
        raise UnusableInputError(
            name, f"language models need {error.name}", "install it with pip install 'structgen[hf]'"
        ) from None
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        if name == "tiny":
            from structgen.testing import tiny_model

            return tiny_model.load()
        tokenizer = transformers.AutoTokenizer.from_pretrained(name)
        model = transformers.AutoModelForCausalLM.from_pretrained(name)
    except FileNotFoundError as error:
        raise UnusableInputError(name, str(error), "or take another with --model") from None
    except (OSError, ValueError, ImportError) as error:
        raise UnusableInputError(name, f"cannot be loaded as a causal language model ({error})") from None
    model.eval()
    return model, tokenizer


def vocabulary_of(model: Any, tokenizer: Any) -> Vocabulary:
    """Return the tokens of a model.

    Raises
    ------
    VocabularyError
        The tokenizer cannot be used.
    """
    from structgen._vocabulary import Vocabulary

    return Vocabulary.from_tokenizer(
        tokenizer,
        model.config.get_text_config().vocab_size,
        eos_token_ids=getattr(model.generation_config, "eos_token_id", None),
    )


def named_vocabulary(name: str, model: Any, tokenizer: Any) -> Named:
    """Return the vocabulary of a model as commands take it."""
    vocabulary = vocabulary_of(model, tokenizer)

    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False))

    return Named(f"{name} ({len(vocabulary):,} tokens)", vocabulary, encode)


def likely_tokens(
    model: Any, tokenizer: Any, inspector: Inspector, prompt: str, text: str
) -> tuple[float, list[Likely]]:
    """Return what a model would say next.

    Parameters
    ----------
    model, tokenizer
        Of `load_model`; the vocabulary of the inspector is theirs.
    inspector : Inspector
        Of the constraint.
    prompt : str
        What stands in front of the text.
    text : str
        The beginning of the text, which is allowed.

    Returns
    -------
    allowed : float
        The probability of all tokens that the constraint allows.
    tokens : list of Likely
        The most likely tokens, whether they are allowed or not.
    """
    import torch

    ids = [*tokenizer(prompt)["input_ids"], *inspector.named.encode(text)] or [inspector.ends[0]]
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([ids])).logits[0, -1]
    probabilities = logits.double().softmax(-1)
    allowed = torch.from_numpy(inspector.allowed(text))
    mass = float(probabilities[allowed].sum())
    members = set(allowed.tolist())
    tokens = []
    for token in probabilities[: len(inspector.named.vocabulary)].topk(_MOST_LIKELY).indices.tolist():
        probability = float(probabilities[token])
        data = inspector.named.vocabulary.tokens[token]
        if token in members:
            tokens.append(Likely(shown(data), token, probability, probability / mass, None))
        else:
            reason = inspector.refusal(text, f"#{token}").reason
            tokens.append(Likely(shown(data), token, probability, 0.0, reason))
    return mass, tokens
