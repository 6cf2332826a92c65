"""Sequential Monte Carlo as a generation method of ``model.generate``."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from transformers.generation import (
    EosTokenCriteria,
    EpsilonLogitsWarper,
    EtaLogitsWarper,
    GenerateDecoderOnlyOutput,
    GenerationConfig,
    LogitsProcessorList,
    MaxLengthCriteria,
    MinPLogitsWarper,
    StoppingCriteriaList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from structgen._vocabulary import Vocabulary
from structgen.samplers import SMC, Context, Potential, Product, SamplingResult, TokenSampler
from structgen.samplers._choice import as_potential, token_sampler_for, vocabulary_of
from structgen.samplers._language_models import Chunk, check_ragged
from structgen.samplers._smc import all_dead

_TOP_K_OF_TRANSFORMERS = 50

# What looks at the scores of one position, and at nothing else.
_LOCAL = (
    EpsilonLogitsWarper,
    EtaLogitsWarper,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)


@dataclasses.dataclass
class SMCDecoderOnlyOutput(GenerateDecoderOnlyOutput):  # type: ignore[misc]
    """What ``generate`` returns with :func:`smc` and ``return_dict_in_generate=True``.

    Attributes
    ----------
    sequences : LongTensor
        Shape ``(B, L)``: prompts and outputs, padded behind the end tokens. A prompt's rows lie together.
    log_weights : Tensor
        Float64, shape ``(B,)``: the unnormalised log-weights of the rows, ``-inf`` for a particle that died.
        Rows that were drawn from more particles have the mean of the particles' weights.
    log_evidence : Tensor
        Float64, shape ``(P,)``: of each prompt, the estimated log-probability that the model alone conforms.
    ess : list of list of float
        Of each prompt, the effective sample size after each step.
    results : list of SamplingResult
        Of each prompt, everything: all particles with their weights, the genealogy, times.
    """

    log_weights: Tensor | None = None
    log_evidence: Tensor | None = None
    ess: list[list[float]] | None = None
    results: list[SamplingResult] | None = None


def smc(
    constraint: Any,
    *,
    vocabulary: Any = None,
    particles: int | None = None,
    ess_threshold: float = 0.5,
    resampling: str = "stratified",
    critic: Potential | None = None,
    seed: int | None = None,
    on_dead: Literal["raise", "mark"] = "raise",
    forced: Literal["single"] | None = None,
) -> SMCGeneration:
    """Return sequential Monte Carlo for ``model.generate(..., custom_generate=smc(...))``.

    Parameters
    ----------
    constraint : TokenAutomaton, Potential, TokenSampler, schema, type, callable or list
        As of :func:`structgen.generate`.
    vocabulary : Vocabulary or tokenizer, optional
        Needed where no automaton in the constraint has a vocabulary.
    particles : int, optional
        Particles per prompt. By default they are the rows that ``num_return_sequences`` asks for, and 5 where
        that is 1. Where it is another number than ``num_return_sequences``, the rows that are returned are
        drawn from the particles by weight.
    ess_threshold, resampling
        As of :class:`structgen.samplers.SMC`.
    critic : Potential, optional
        As of :meth:`structgen.samplers.SMC.run`.
    seed : int, optional
        By default PyTorch's global generator provides it, so that ``transformers.set_seed`` counts.
    on_dead : {"raise", "mark"}
        What happens where all particles of a prompt died. ``"mark"``: its rows are what the particles had,
        without an end token, and their log-weights ``-inf``; the other prompts go on.
    forced : {"single"}, optional
        As of :class:`structgen.samplers.SMC`: runs of tokens that have no alternative cost one forward pass.

    Returns
    -------
    SMCGeneration
        To be passed as ``custom_generate``. It can be used any number of times.

    Raises
    ------
    ValueError
        There is no vocabulary, or an option is out of range.
    TypeError
        The constraint is none.

    Notes
    -----
    The target is the model as ``generate`` is told to use it, given that the output conforms: logits
    processors, ``temperature``, ``top_p`` and the like shape the model, whether ``do_sample`` is set or not.
    ``top_k`` counts if it is passed to ``generate``, or set in a ``GenerationConfig`` to another number than
    transformers' default of 50, which would cut off texts without anybody having asked for it.

    An output ends at the vocabulary's end tokens, within ``max_new_tokens`` or ``max_length``. It is always
    sampled. ``generate`` refuses ``num_return_sequences`` without ``do_sample=True``.

    Calling it raises ValueError for what has no meaning here: beams, encoder-decoder models, other stopping
    criteria than length and end tokens, ``output_scores`` and its like (rows are copied and dropped on the
    way), and end tokens that are none of the vocabulary's. Needs transformers 5.

    With `forced`, it raises ValueError, too, for logits processors that may look at the tokens before (all
    but temperature, ``top_k``, ``top_p``, ``min_p``, ``typical_p``, ``epsilon_cutoff`` and ``eta_cutoff``),
    because rows then have padding within; for a static cache; and where rows differ in their forced text and
    the model takes no positions or has a sliding window.

    Examples
    --------
    >>> import structgen
    >>> from structgen.hf import smc
    >>> from structgen.testing import tiny_model
    >>> model, tokenizer = tiny_model.load()
    >>> vocabulary = structgen.Vocabulary.from_huggingface(tokenizer)
    >>> automaton = structgen.compile_regex(r"(yes|no)!", vocabulary)
    >>> prompt = tokenizer("Is it so? ", return_tensors="pt")
    >>> output = model.generate(
    ...     **prompt, custom_generate=smc(automaton, particles=8, seed=0), max_new_tokens=8
    ... )
    >>> text = tokenizer.decode(output[0, prompt.input_ids.shape[1] :], skip_special_tokens=True)
    >>> text in ("yes!", "no!")
    True
    """
    if on_dead not in ("raise", "mark"):
        raise ValueError(f"on_dead must be 'raise' or 'mark', not {on_dead!r}")
    found = vocabulary_of(constraint) if vocabulary is None else vocabulary
    if found is None:
        raise ValueError("no automaton in the constraint says what the tokens are: pass vocabulary=tokenizer")
    if not isinstance(found, Vocabulary):
        found = Vocabulary.from_tokenizer(found)
    if isinstance(constraint, TokenSampler):
        token_sampler, scores = constraint, None
    else:
        token_sampler, scores = token_sampler_for(as_potential(constraint, found))
    if scores is not None:
        critic = scores if critic is None else Product(critic, scores)
    sampler = SMC(SMC.particles if particles is None else particles, ess_threshold, resampling, forced)
    return SMCGeneration(sampler, particles is None, token_sampler, critic, found, seed, on_dead == "raise")


class SMCGeneration:
    """A generation method of transformers, made by :func:`smc`."""

    def __init__(
        self,
        sampler: SMC,
        rows_are_particles: bool,
        token_sampler: TokenSampler,
        critic: Potential | None,
        vocabulary: Vocabulary,
        seed: int | None,
        raises: bool,
    ) -> None:
        self._sampler = sampler
        self._rows_are_particles = rows_are_particles
        self._token_sampler = token_sampler
        self._critic = critic
        self._vocabulary = vocabulary
        self._seed = seed
        self._raises = raises

    # generate() does not put a keyword into its configuration that is a parameter here and none of its own
    # methods': that tells a top-k that somebody asked for from the default.
    def __call__(
        self,
        model: Any,
        input_ids: Tensor,
        logits_processor: LogitsProcessorList,
        stopping_criteria: StoppingCriteriaList,
        generation_config: GenerationConfig,
        top_k: int | None = None,
        **model_kwargs: Any,
    ) -> SMCDecoderOnlyOutput | Tensor:
        """Generate, as transformers asks for it."""
        _refuse(model, stopping_criteria, generation_config, self._vocabulary)
        rows = generation_config.num_return_sequences or 1
        sampler = self._sampler
        if self._rows_are_particles and rows > 1:
            sampler = dataclasses.replace(sampler, particles=rows)
        seed = int(torch.randint(2**62, ())) if self._seed is None else self._seed
        generator = torch.Generator(model.device).manual_seed(seed)
        max_tokens = generation_config.max_length - input_ids.shape[1]
        processors = _processors(logits_processor, generation_config, model, top_k)
        if sampler.forced is not None:
            _refuse_with_forced(processors, model_kwargs)
        prepared = _Prepared(
            model,
            self._vocabulary,
            input_ids,
            processors,
            generation_config,
            model_kwargs,
            rows,
        )
        options: dict[str, Any] = {"generator": generator, "critic": self._critic}
        results = sampler.run_prompts(prepared, self._token_sampler, max_tokens=max_tokens, **options)
        results = [dataclasses.replace(result, seed=seed) for result in results]
        for result in results:
            if result.log_evidence == -math.inf and self._raises:
                root = Context.root(self._vocabulary)
                raise all_dead(result, self._token_sampler.potential, root, max_tokens)
        return self._output(input_ids, rows, results, generation_config, generator)

    def _output(
        self,
        input_ids: Tensor,
        rows: int,
        results: list[SamplingResult],
        config: GenerationConfig,
        generator: torch.Generator,
    ) -> SMCDecoderOnlyOutput | Tensor:
        tokens: list[tuple[int, ...]] = []
        log_weights: list[float] = []
        for result in results:
            index, weights = _drawn(result, rows, generator)
            tokens += [result.sequences[i].tokens for i in index]
            log_weights += weights
        # As in transformers, an end token pads where no other token does.
        pad = self._vocabulary.eos_token_ids[0] if config.pad_token_id is None else int(config.pad_token_id)
        width = max(map(len, tokens))
        padded = [[*row, *[pad] * (width - len(row))] for row in tokens]
        output = torch.tensor(padded, dtype=torch.long, device=input_ids.device)
        # Each prompt's rows of the batch are equal, and as many as are returned.
        sequences = torch.cat([input_ids, output], dim=1)
        if not config.return_dict_in_generate:
            return sequences
        return SMCDecoderOnlyOutput(
            sequences=sequences,
            log_weights=torch.tensor(log_weights, dtype=torch.float64),
            log_evidence=torch.tensor([result.log_evidence for result in results], dtype=torch.float64),
            ess=[result.ess for result in results],
            results=results,
        )


class _Prepared:
    """The model with prompts, cache and processors that ``generate`` has prepared, as samplers see it."""

    def __init__(
        self,
        model: Any,
        vocabulary: Vocabulary,
        input_ids: Tensor,
        processors: LogitsProcessorList,
        config: GenerationConfig,
        model_kwargs: dict[str, Any],
        rows: int,
    ) -> None:
        self.model = model
        self.vocabulary = vocabulary
        self.processors = processors
        self.prompts = len(input_ids) // rows
        self._input_ids = input_ids
        self._config = config
        self._model_kwargs = model_kwargs
        self._rows = rows

    def begin(self, rows: int, *, max_tokens: int) -> _PreparedRows:
        outputs = self.model._prefill(self._input_ids, self._config, self._model_kwargs)
        begun = _PreparedRows(self, self._input_ids, outputs, self._model_kwargs)
        if rows != self._rows:
            begun.select([p * self._rows for p in range(self.prompts) for _ in range(rows)])
        return begun


class _PreparedRows:
    """The rows of the batch, fed as the model's own generation methods do it."""

    def __init__(
        self, prepared: _Prepared, input_ids: Tensor, outputs: Any, model_kwargs: dict[str, Any]
    ) -> None:
        self._prepared = prepared
        self._model = prepared.model
        self._ids = input_ids
        self._model_kwargs = model_kwargs
        self._take(outputs)

    def __len__(self) -> int:
        return len(self._ids)

    def _take(self, outputs: Any) -> None:
        self._model_kwargs = self._model._update_model_kwargs_for_generation(outputs, self._model_kwargs)
        self._logits = outputs.logits[:, -1].float()
        self._logprobs: Tensor | None = None

    def logprobs(self) -> Tensor:
        if self._logprobs is None:
            self._logprobs = self._logprobs_of(self._ids, self._logits)
        return self._logprobs

    def _logprobs_of(self, ids: Tensor, logits: Tensor) -> Tensor:
        count = len(self._prepared.vocabulary)
        logits = logits.float().clone()
        # Padding of the model must not be among the best.
        logits[:, count:] = -math.inf
        scores = self._prepared.processors(ids.to(logits.device), logits)
        return scores[:, :count].log_softmax(-1)

    def append(self, tokens: Sequence[int]) -> None:
        column = torch.tensor(tokens, dtype=torch.long, device=self._ids.device).unsqueeze(1)
        self._ids = torch.cat([self._ids, column], dim=1)
        inputs = self._model.prepare_inputs_for_generation(
            self._ids,
            next_sequence_length=1 if self._model_kwargs.get("use_cache") else None,
            **self._model_kwargs,
        )
        self._take(self._model(**inputs, return_dict=True))

    def extend(self, tokens: Sequence[Sequence[int]]) -> list[list[float]]:
        """Add tokens to each row in one forward pass; see :class:`HuggingFaceRows`."""
        if max(map(len, tokens)) == 1:
            self.append([row[0] for row in tokens])
            return [[] for _ in tokens]
        chunk = Chunk(tokens, self._ids.device)
        options = self._model_kwargs
        if chunk.ragged:
            check_ragged(self._model, "position_ids" in options and "attention_mask" in options)
        self._ids = torch.cat([self._ids, chunk.tokens], dim=1)
        # They are there for one more token already.
        if (mask := options.get("attention_mask")) is not None:
            options["attention_mask"] = torch.cat([mask[:, :-1], chunk.mask.to(mask)], dim=1)
        if (positions := options.get("position_ids")) is not None:
            added = (chunk.mask.cumsum(1) - 1).clamp(min=0).to(positions)
            options["position_ids"] = torch.cat([positions[..., :-1], positions[..., -1:] + added], dim=-1)
        inputs = self._model.prepare_inputs_for_generation(
            self._ids, next_sequence_length=chunk.width if options.get("use_cache") else None, **options
        )
        if "logits_to_keep" in inputs:
            inputs["logits_to_keep"] = chunk.width
        outputs = self._model(**inputs, return_dict=True)
        logits = outputs.logits[:, -chunk.width :]
        self._take(outputs)
        # What shapes them looks at no tokens.
        return chunk.logprobs(logits, lambda part: self._logprobs_of(self._ids[:1], part))

    def select(self, index: Sequence[int]) -> None:
        count = len(self)
        order = torch.tensor(index, dtype=torch.long, device=self._ids.device)
        self._ids = self._ids.index_select(0, order)
        self._logits = self._logits.index_select(0, order.to(self._logits.device))
        # What processors made of these rows need not be what they make of others.
        self._logprobs = None
        for name, value in self._model_kwargs.items():
            if isinstance(value, Tensor):
                # Positions of several kinds have the batch second.
                dim = 1 if name == "position_ids" and value.ndim == 3 else 0
                if value.ndim > dim and value.shape[dim] == count:
                    self._model_kwargs[name] = value.index_select(dim, order.to(value.device))
        cache = self._model_kwargs.get("past_key_values")
        if cache is not None:
            cache.reorder_cache(order)


def _processors(
    processors: LogitsProcessorList, config: GenerationConfig, model: Any, top_k: int | None
) -> LogitsProcessorList:
    """Return the processors that make the target: with a top-k only where it was asked for."""
    if top_k is None and config.top_k not in (_TOP_K_OF_TRANSFORMERS, model.generation_config.top_k):
        top_k = config.top_k
    found = LogitsProcessorList(processors)
    if config.do_sample:
        # The user's own objects come before those that generate() makes of the configuration.
        places = [i for i, p in enumerate(found) if isinstance(p, TopKLogitsWarper)] if config.top_k else []
        if places:
            del found[places[-1]]
        if top_k:
            found.insert(places[-1] if places else len(found), TopKLogitsWarper(top_k))
        return found
    if config.temperature is not None and config.temperature != 1.0:
        found.append(TemperatureLogitsWarper(float(config.temperature)))
    if top_k:
        found.append(TopKLogitsWarper(top_k))
    if config.top_p is not None and config.top_p < 1.0:
        found.append(TopPLogitsWarper(config.top_p))
    return found


def _refuse(
    model: Any, criteria: StoppingCriteriaList, config: GenerationConfig, vocabulary: Vocabulary
) -> None:
    """Raise ValueError for what sequential Monte Carlo can't do."""
    if model.config.is_encoder_decoder:
        raise ValueError("sequential Monte Carlo takes decoder-only models")
    if (config.num_beams or 1) > 1:
        raise ValueError(f"num_beams={config.num_beams}: particles are no beams; use num_return_sequences")
    for criterion in criteria:
        if not isinstance(criterion, MaxLengthCriteria | EosTokenCriteria):
            raise ValueError(
                f"{type(criterion).__name__} would cut particles short of the constraint: leave it out, and "
                "put what ends a text into the constraint"
            )
    for name in ("output_scores", "output_logits", "output_attentions", "output_hidden_states"):
        if config.return_dict_in_generate and getattr(config, name):
            raise ValueError(f"{name}: rows are copied and dropped on the way, so nothing is kept of them")
    if config.eos_token_id is not None:
        ends = torch.as_tensor(config.eos_token_id).flatten().tolist()
        if not set(ends) & set(vocabulary.eos_token_ids):
            raise ValueError(
                f"generate() ends at {ends}, but the constraint's vocabulary at "
                f"{list(vocabulary.eos_token_ids)}: make the vocabulary with eos_token_ids={ends}"
            )


def _refuse_with_forced(processors: LogitsProcessorList, model_kwargs: dict[str, Any]) -> None:
    """Raise ValueError for what rows with padding between their tokens can't do."""
    for processor in processors:
        if not isinstance(processor, _LOCAL):
            raise ValueError(
                f"{type(processor).__name__} may look at the tokens before, among which forced text leaves "
                "padding: leave it out, or use forced=None"
            )
    if getattr(model_kwargs.get("past_key_values"), "is_compileable", False):
        raise ValueError(
            "a cache of fixed size cannot take padding: use a dynamic one with forced text, or forced=None"
        )


def _drawn(result: SamplingResult, rows: int, generator: torch.Generator) -> tuple[list[int], list[float]]:
    """Return which particles are the rows of a prompt, and the rows' log-weights."""
    if rows == len(result.sequences):
        return list(range(rows)), [sequence.log_weight for sequence in result.sequences]
    if result.log_evidence == -math.inf:
        return [i % len(result.sequences) for i in range(rows)], [-math.inf] * rows
    weights = torch.tensor(
        [sequence.weight for sequence in result.sequences], dtype=torch.float64, device=generator.device
    )
    index = torch.multinomial(weights, rows, replacement=True, generator=generator)
    return index.tolist(), [result.log_evidence] * rows
