"""The plain entry: sample outputs of a model that satisfy a constraint."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from structgen._errors import AllParticlesDeadError
from structgen._vocabulary import Vocabulary
from structgen.samplers import (
    HuggingFaceModel,
    LanguageModel,
    LocallyConstrained,
    Potential,
    Product,
    SamplingResult,
    TokenSampler,
)
from structgen.samplers._choice import (
    Name,
    SequenceSampler,
    as_potential,
    named_sampler,
    parser_of,
    token_sampler_for,
    vocabulary_of,
)
from structgen.samplers._forced import Forced, encoder_of

if TYPE_CHECKING:
    from structgen.samplers._run import Progress


def generate(
    model: Any,
    tokenizer: Any,
    prompt: Any,
    constraint: Any,
    sampler: Name | SequenceSampler = "mask",
    *,
    max_tokens: int = 256,
    particles: int | None = None,
    seed: int | None = None,
    temperature: float = 1.0,
    critic: Potential | None = None,
    parse: Callable[[str], Any] | None = None,
    progress: Progress = True,
    forced: Forced | None = None,
) -> SamplingResult | list[SamplingResult]:
    """Sample outputs of a language model that satisfy a constraint.

    Parameters
    ----------
    model : transformers.PreTrainedModel or LanguageModel
        A causal language model of transformers; or a :class:`structgen.samplers.LanguageModel`, which has
        its vocabulary and prompt, so that `tokenizer` and `prompt` are None.
    tokenizer : tokenizer or Vocabulary or None
        What :meth:`Vocabulary.from_tokenizer` takes. A `Vocabulary` will do where prompts are token ids.
    prompt : str, sequence of int, Tensor, mapping, or list of str or of sequences
        A text, which the tokenizer encodes with the special tokens that it adds by itself; token ids; what
        a tokenizer returns (``input_ids`` and ``attention_mask``), padded or not; or several prompts, which
        run as one batch with ``"mask"``, ``"smc"``, ``"awrs"`` and ``"rerank"``, and else one by one.
    constraint : TokenAutomaton, dict, str, type, Potential, callable, list or TokenSampler
        What outputs have to satisfy:

        * an automaton (of a regex, a Lark grammar, a schema, ...);
        * a JSON Schema, as a dict or as its text, compiled with the default options;
        * a Python type, compiled by :func:`compile_type`;
        * a :class:`structgen.samplers.Potential`, also a product of several;
        * a function from the finished text to whether it is right. One that can refuse beginnings of texts
          guides much better: pass it as ``Predicate(function)``;
        * a list of these: all of them;
        * a token sampler, where the choice below should not be made.

        Automata become masks, and what there is besides is asked by adaptive weighted rejection about one
        token at a time. Potentials that are not boolean join the critic.
    sampler : {"mask", "smc", "awrs", "rerank", "rejection", "asap", "mcmc"} or sequence sampler
        ``"mask"``: plain constrained decoding (`LocallyConstrained`): always valid, in general with other
        probabilities than the model's. ``"smc"``: sequential Monte Carlo. ``"awrs"``: the same, with
        rejection in place of masks even for automata. ``"rerank"``: `SampleAndRerank`. ``"rejection"``:
        `ExactRejection`. ``"asap"``: `GrammarAligned`. ``"mcmc"``: `SuffixMCMC`. Or an object of
        :mod:`structgen.samplers` with settings of its own.
    max_tokens : int
        The longest output, the end token included.
    particles : int, optional
        Number of sequences, for a sampler that is given by its name; 1 for ``"mask"`` and 5 for the others
        by default.
    seed : int, optional
        Makes the run reproducible. Seeds of prompts count up from it, so that what a prompt gets does not
        depend on the others (but for what batches change in the model's own floating-point numbers).
    temperature : float
        Divides the model's logits. The model with its temperature is what is sampled from.
    critic : Potential, optional
        See :meth:`structgen.samplers.SMC.run`.
    parse : callable, optional
        Makes the values of the sequences from their texts. By default, the outputs of JSON Schemas, of
        predicates on values and of types are parsed; all others' values are None.
    progress : bool or callable
        Whether to show a progress bar; or what to call with the steps done and their greatest number.
    forced : {"single", "canonical"}, optional
        Append text that the constraint leaves no choice about without a forward pass for each token; for
        constraints with an automaton, and all samplers but ``"rerank"`` and beams. ``"single"`` changes no
        probability; ``"canonical"``, for ``"mask"`` with one automaton, saves more and fixes the
        tokenisation of forced text. See :class:`structgen.samplers.LocallyConstrained`.

    Returns
    -------
    SamplingResult or list of SamplingResult
        One per prompt, where there are several. Among several prompts, one whose particles all died has a
        `log_evidence` of -inf and no sequence with weight.

    Raises
    ------
    NothingSatisfiesError
        The constraint refuses every text.
    BudgetError
        `max_tokens` is too small for the shortest output.
    AllParticlesDeadError
        All particles died (of the only prompt); the error has the partial result.
    PotentialError
        A predicate or potential answered NaN or positive infinity.
    SchemaError, UnsatisfiableSchemaError, LimitError, VocabularyError
        The schema or the tokenizer is refused.
    ValueError, TypeError
        Arguments do not fit together; the message says which.

    Examples
    --------
    >>> import structgen
    >>> from structgen.testing import tiny_model
    >>> model, tokenizer = tiny_model.load()
    >>> schema = {"type": "array", "items": {"type": "integer"}, "maxItems": 3}
    >>> result = structgen.generate(
    ...     model, tokenizer, "Sizes as JSON: ", schema, "smc", max_tokens=40, seed=0, progress=False
    ... )
    >>> all(isinstance(sequence.value, list) for sequence in result.sequences if sequence.weight)
    True
    """
    if isinstance(sampler, str):
        chosen = named_sampler(sampler, particles)
    elif particles is not None:
        raise ValueError(f"{type(sampler).__name__} has its own number of particles: leave out particles")
    elif isinstance(sampler, SequenceSampler):
        chosen = sampler
    else:
        raise TypeError(f"the sampler is {type(sampler).__name__}, and must be a name or have a method run")
    if critic is not None and not isinstance(critic, Potential):
        raise TypeError(
            f"the critic is {type(critic).__name__}, and must be a potential: pass a function that scores as "
            "structgen.samplers.Predicate(function, boolean=False)"
        )
    if forced is not None:
        chosen = _with_forced(chosen, forced, tokenizer)
    models, vocabulary, several = _models(model, tokenizer, prompt, constraint, temperature, chosen)
    if isinstance(constraint, TokenSampler):
        token_sampler, scores = constraint, None
    else:
        potential = as_potential(constraint, vocabulary)
        token_sampler, scores = token_sampler_for(potential, masks=sampler != "awrs")
    if scores is not None:
        critic = scores if critic is None else Product(critic, scores)
    options = {"max_tokens": max_tokens, "critic": critic, "progress": progress}
    parse = parse or parser_of(constraint)
    results = _run(chosen, models, token_sampler, several, seed, options)
    if parse is not None:
        results = [result.parsed(parse) for result in results]
    return results if several else results[0]


def _with_forced(sampler: SequenceSampler, forced: Forced, tokenizer: Any) -> SequenceSampler:
    if isinstance(sampler, LocallyConstrained):
        encode = sampler.encode or (None if tokenizer is None else encoder_of(tokenizer))
        return dataclasses.replace(sampler, forced=forced, encode=encode)
    if not dataclasses.is_dataclass(sampler) or not hasattr(sampler, "forced"):
        raise ValueError(
            f"{type(sampler).__name__} takes every token from the model: leave out forced={forced!r}"
        )
    return cast(SequenceSampler, dataclasses.replace(cast(Any, sampler), forced=forced))


def _models(
    model: Any, tokenizer: Any, prompt: Any, constraint: Any, temperature: float, sampler: SequenceSampler
) -> tuple[list[LanguageModel], Vocabulary, bool]:
    """Return one model for all prompts, or one for each; the vocabulary; and whether there are several."""
    if isinstance(model, LanguageModel):
        if prompt is not None or tokenizer is not None or temperature != 1.0:
            raise ValueError(
                f"{type(model).__name__} has its own vocabulary, prompt and temperature: pass None for the "
                "tokenizer and the prompt, and no temperature"
            )
        return [model], model.vocabulary, getattr(model, "prompts", 1) > 1
    prompts, several = _prompts(prompt, tokenizer)
    vocabulary = vocabulary_of(constraint)
    if vocabulary is None and isinstance(tokenizer, Vocabulary):
        vocabulary = tokenizer
    if vocabulary is None:
        vocabulary = Vocabulary.from_tokenizer(
            tokenizer,
            model.config.get_text_config().vocab_size,
            eos_token_ids=getattr(model.generation_config, "eos_token_id", None),
        )
    batches = [prompts] if hasattr(sampler, "run_prompts") else [[one] for one in prompts]
    models: list[LanguageModel] = [
        HuggingFaceModel(model, vocabulary, batch, temperature=temperature) for batch in batches
    ]
    return models, vocabulary, several


def _prompts(prompt: Any, tokenizer: Any) -> tuple[list[Any], bool]:
    """Return the token ids of each prompt, and whether there are several."""
    if isinstance(prompt, str):
        return [_encode(prompt, tokenizer)], False
    # What tokenizers return for one text may be a tensor of one row.
    may_be_one_row = isinstance(prompt, Mapping) or hasattr(prompt, "tolist")
    mask = None
    if isinstance(prompt, Mapping):
        mask = _as_list(prompt.get("attention_mask"))
        prompt = prompt["input_ids"]
    prompt = _as_list(prompt)
    if not isinstance(prompt, Sequence) or isinstance(prompt, (bytes, bytearray)):
        raise TypeError(
            f"the prompt is {type(prompt).__name__}, and must be a text, token ids, what a tokenizer "
            "returns, or a list of texts or of token ids"
        )
    if len(prompt) == 0:
        raise ValueError("there is no prompt; for an empty one give the begin-of-sequence token")
    if isinstance(prompt[0], str):
        return [_encode(text, tokenizer) for text in prompt], True
    if not hasattr(prompt[0], "__len__") or getattr(prompt[0], "ndim", 1) == 0:
        return [prompt], False
    if mask is not None:
        pairs = [zip(row, kept, strict=True) for row, kept in zip(prompt, mask, strict=True)]
        prompt = [[token for token, is_kept in row if is_kept] for row in pairs]
    return list(prompt), len(prompt) > 1 or not may_be_one_row


def _as_list(ids: Any) -> Any:
    return ids.tolist() if hasattr(ids, "tolist") else ids


def _encode(text: str, tokenizer: Any) -> Any:
    if not isinstance(tokenizer, Vocabulary):
        if callable(tokenizer):
            return tokenizer(text)["input_ids"]
        if hasattr(tokenizer, "encode"):
            return tokenizer.encode(text)
    raise TypeError(f"{type(tokenizer).__name__} does not encode texts: give the prompt as token ids")


def _run(
    sampler: Any,
    models: list[LanguageModel],
    token_sampler: TokenSampler,
    several: bool,
    seed: int | None,
    options: dict[str, Any],
) -> list[SamplingResult]:
    if not several:
        return [sampler.run(models[0], token_sampler, seed=seed, **options)]
    if hasattr(sampler, "run_prompts"):
        results: list[SamplingResult] = sampler.run_prompts(models[0], token_sampler, seed=seed, **options)
        return results
    results = []
    for i, model in enumerate(models):
        try:
            result = sampler.run(model, token_sampler, seed=None if seed is None else seed + i, **options)
        except AllParticlesDeadError as error:
            result = error.result
        results.append(result)
    return results
