"""Diverse beam search as a generation method of ``model.generate``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.generation import (
    GenerateBeamDecoderOnlyOutput,
    GenerationConfig,
    LogitsProcessorList,
    StoppingCriteriaList,
)

from structgen._vocabulary import Vocabulary
from structgen.hf._smc import _Prepared, _PreparedRows
from structgen.hf._version_4 import Version4Groups
from structgen.samplers._beam_groups import BeamGroups, Hypothesis
from structgen.samplers._beams import DiverseBeamSearch
from structgen.samplers._dissimilarity import Dissimilarity, DissimilarityName, named_dissimilarity
from structgen.samplers._run import check_positive


def diverse_beam_search(
    groups: int | None = None,
    beams_per_group: int | None = None,
    diversity_strength: float | None = None,
    dissimilarity: DissimilarityName | Dissimilarity = "hamming",
    *,
    vocabulary: Any = None,
    version_4: bool | None = None,
) -> DiverseBeamGeneration:
    """Return diverse beam search for ``model.generate(..., custom_generate=diverse_beam_search(...))``.

    Parameters
    ----------
    groups : int, optional
        Number of groups. The default is ``num_beam_groups`` of ``generate``, and where that is not given
        either, or is 1, one group per beam.
    beams_per_group : int, optional
        Number of beams in each. By default the groups share ``num_beams`` of ``generate``.
    diversity_strength : float, optional
        Factor of the diversity terms. The default is ``diversity_penalty`` of ``generate``, or 0.5 where
        that is not given or 0.
    dissimilarity
        As of :class:`structgen.samplers.DiverseBeamSearch`.
    vocabulary : Vocabulary or tokenizer, optional
        Tells ``"structural"`` what tokens are punctuation, and all what tokens are special and what sequences
        have the same text.
    version_4 : bool, optional
        Whether the results are those of version 4 of transformers, with its rules for duplicates, padding and
        stopping (see Notes). By default they are where the groups are those of ``num_beam_groups`` and the
        dissimilarity is Hamming's.

    Returns
    -------
    DiverseBeamGeneration
        To be passed as ``custom_generate``. It can be used any number of times.

    Raises
    ------
    ValueError
        An option is out of range.

    Notes
    -----
    ``length_penalty``, ``early_stopping``, ``num_return_sequences``, stopping criteria and logits processors
    are those of ``generate``. A constraint is a processor as in any beam search:
    ``logits_processor=[AutomatonLogitsProcessor(automaton)]``. Processors get log-probabilities, and what
    they return is not normalised again.

    Each prompt's rows are the best hypotheses of all groups together, all different: as texts where there
    is a `vocabulary`, else as tokens. Where there are fewer
    than ``num_return_sequences``, the other rows are the prompt and padding, with a score of ``-inf``. With
    ``return_dict_in_generate=True`` the result is ``GenerateBeamDecoderOnlyOutput``; ``sequences_scores`` and
    ``scores`` have the diversity terms in them, as in version 4 of transformers.

    With `version_4` hypotheses of different groups may be equal; end tokens, special tokens and forced ones
    are penalised too, and of groups that are done the padding counts; with ``early_stopping=True``
    hypotheses that `max_length` cuts off do not count beside enough ended ones; and all sequences end with
    the first of several end tokens. Sequences and scores are those of transformers 4.46, save that it called
    processors with the terms already in: processors that only exclude tokens make no difference.

    Calling it raises ValueError for encoder-decoder models, ``do_sample=True``, and a ``num_beams`` that is
    another number than groups times beams.

    Examples
    --------
    >>> import structgen
    >>> from structgen.hf import AutomatonLogitsProcessor, diverse_beam_search
    >>> from structgen.testing import tiny_model
    >>> model, tokenizer = tiny_model.load()
    >>> vocabulary = structgen.Vocabulary.from_huggingface(tokenizer)
    >>> automaton = structgen.compile_regex(r"(yes|no)!", vocabulary)
    >>> prompt = tokenizer("Is it so? ", return_tensors="pt")
    >>> output = model.generate(
    ...     **prompt,
    ...     custom_generate=diverse_beam_search(groups=2, diversity_strength=5.0),
    ...     num_beams=2,
    ...     num_return_sequences=2,
    ...     logits_processor=[AutomatonLogitsProcessor(automaton)],
    ...     max_new_tokens=8,
    ... )
    >>> answers = tokenizer.batch_decode(output[:, prompt.input_ids.shape[1] :], skip_special_tokens=True)
    >>> sorted(answers)
    ['no!', 'yes!']
    """
    check_positive("groups", groups)
    check_positive("beams_per_group", beams_per_group)
    if version_4 and dissimilarity != "hamming":
        raise ValueError(f"version 4 of transformers has no dissimilarity {dissimilarity!r}, only 'hamming'")
    # The other options are checked there.
    DiverseBeamSearch(
        dissimilarity=dissimilarity,
        diversity_strength=0.5 if diversity_strength is None else diversity_strength,
    )
    if vocabulary is not None and not isinstance(vocabulary, Vocabulary):
        vocabulary = Vocabulary.from_tokenizer(vocabulary)
    return DiverseBeamGeneration(
        groups, beams_per_group, diversity_strength, dissimilarity, vocabulary, version_4
    )


class DiverseBeamGeneration:
    """A generation method of transformers, made by :func:`diverse_beam_search`."""

    def __init__(
        self,
        groups: int | None,
        beams_per_group: int | None,
        diversity_strength: float | None,
        dissimilarity: DissimilarityName | Dissimilarity,
        vocabulary: Vocabulary | None,
        version_4: bool | None,
    ) -> None:
        self._groups = groups
        self._beams = beams_per_group
        self._strength = diversity_strength
        self._dissimilarity = dissimilarity
        self._vocabulary = vocabulary
        self._version_4 = version_4

    def __call__(
        self,
        model: Any,
        input_ids: Tensor,
        logits_processor: LogitsProcessorList,
        stopping_criteria: StoppingCriteriaList,
        generation_config: GenerationConfig,
        **model_kwargs: Any,
    ) -> GenerateBeamDecoderOnlyOutput | Tensor:
        """Generate, as transformers asks for it."""
        config = generation_config
        groups, beams = self._shape(config)
        _refuse(model, config, groups * beams)
        ends = [] if config.eos_token_id is None else torch.as_tensor(config.eos_token_id).flatten().tolist()
        special: list[int] = [*ends, *([] if config.pad_token_id is None else [int(config.pad_token_id)])]
        if self._vocabulary is not None:
            special += [*self._vocabulary.eos_token_ids, *self._vocabulary.special_token_ids]
        expanded = max(config.num_beams or 1, config.num_return_sequences or 1)
        # Only the rows of sequential Monte Carlo ask for the vocabulary.
        found: Any = self._vocabulary
        prepared = _Prepared(model, found, input_ids, logits_processor, config, model_kwargs, expanded)
        length = input_ids.shape[1]
        strength = (config.diversity_penalty or 0.5) if self._strength is None else self._strength
        # A row that holds no beam gets any token; nobody reads it.
        padding = int(config.pad_token_id) if config.pad_token_id is not None else (ends or [0])[0]
        rules = {
            "length_penalty": 1.0 if config.length_penalty is None else config.length_penalty,
            "early_stopping": config.early_stopping or False,
            "max_tokens": config.max_length - length,
            "prompts": prepared.prompts,
        }
        dissimilarity = named_dissimilarity(
            self._dissimilarity, self._vocabulary, lambda: model.get_input_embeddings().weight
        )
        if self._is_version_4(config):
            search: BeamGroups = Version4Groups(
                groups, beams, strength, dissimilarity, end_tokens=ends, padding=padding, **rules
            )
        else:
            search = BeamGroups(
                groups,
                beams,
                strength,
                dissimilarity,
                never_penalised=sorted(set(special)),
                ends=len(ends),
                key=tuple if self._vocabulary is None else self._text,
                **rules,
            )
        prompts = input_ids[::expanded]
        scores: list[Tensor] = []
        logits: list[Tensor] = []
        with torch.no_grad():
            rows = _Rows(prepared, groups * beams)

            def finishes(prompt: int, texts: Sequence[tuple[int, ...]]) -> list[bool]:
                if not texts:
                    return []
                generated = torch.tensor(texts, dtype=torch.long, device=input_ids.device)
                ids = torch.cat([prompts[prompt].expand(len(texts), -1), generated], dim=1)
                hits: list[bool] = stopping_criteria(ids, None).tolist()
                return hits

            while True:
                sources, tokens, penalised = search.step(rows.logprobs(), finishes)
                if config.return_dict_in_generate and config.output_scores:
                    scores.append(penalised)
                if config.return_dict_in_generate and config.output_logits:
                    logits.append(rows.logits)
                if search.done:
                    break
                rows.select(sources)
                rows.append([padding if token is None else token for token in tokens])
        best = [search.results(p)[: config.num_return_sequences or 1] for p in range(prepared.prompts)]
        return _output(best, prompts, config, padding, scores, logits, rows)

    def _text(self, tokens: Sequence[int]) -> bytes:
        assert self._vocabulary is not None
        return self._vocabulary.decode(tokens)

    def _is_version_4(self, config: GenerationConfig) -> bool:
        if self._version_4 is not None:
            return self._version_4
        named = self._groups is None and (config.num_beam_groups or 1) > 1
        return named and self._dissimilarity == "hamming"

    def _shape(self, config: GenerationConfig) -> tuple[int, int]:
        """Return the number of groups and of beams in each."""
        asked = config.num_beams or 1
        groups = self._groups
        # generate() puts 1 and 0.0 for what nobody has given.
        if groups is None and (config.num_beam_groups or 1) > 1:
            groups = config.num_beam_groups
        if groups is None:
            groups = max(1, asked // (self._beams or 1))
        beams = self._beams or max(1, asked // groups)
        if asked not in (1, groups * beams):
            raise ValueError(
                f"num_beams={asked}, but {groups} groups of {beams} beams are {groups * beams}: "
                "make them the same, or leave one of them out"
            )
        return groups, beams


class _Rows(_PreparedRows):
    """The rows of the batch, with log-probabilities that processors have changed last."""

    def __init__(self, prepared: _Prepared, count: int) -> None:
        outputs = prepared.model._prefill(prepared._input_ids, prepared._config, prepared._model_kwargs)
        super().__init__(prepared, prepared._input_ids, outputs, prepared._model_kwargs)
        if count != prepared._rows:
            self.select([p * prepared._rows for p in range(prepared.prompts) for _ in range(count)])

    @property
    def logits(self) -> Tensor:
        return self._logits

    @property
    def cache(self) -> Any:
        return self._model_kwargs.get("past_key_values")

    def logprobs(self) -> Tensor:
        if self._logprobs is None:
            logprobs = self._logits.to(self._ids.device).log_softmax(-1)
            scores: Tensor = self._prepared.processors(self._ids, logprobs)
            self._logprobs = scores
        return self._logprobs


def _refuse(model: Any, config: GenerationConfig, beams: int) -> None:
    """Raise ValueError for what diverse beam search can't do."""
    if model.config.is_encoder_decoder:
        raise ValueError("diverse beam search takes decoder-only models")
    if config.do_sample:
        raise ValueError("diverse beam search does not sample: leave out do_sample, or use structgen.hf.smc")
    if (config.num_return_sequences or 1) > beams:
        raise ValueError(f"num_return_sequences={config.num_return_sequences}, but there are {beams} beams")
    for name in ("output_attentions", "output_hidden_states"):
        if config.return_dict_in_generate and getattr(config, name):
            raise ValueError(f"{name}: diverse beam search keeps none of them; leave it out")


def _output(
    found: Sequence[Sequence[Hypothesis]],
    prompts: Tensor,
    config: GenerationConfig,
    padding: int,
    scores: Sequence[Tensor],
    logits: Sequence[Tensor],
    rows: _Rows,
) -> GenerateBeamDecoderOnlyOutput | Tensor:
    count = config.num_return_sequences or 1
    missing = Hypothesis(score=-math.inf)
    padded = [h for each in found for h in [*each, *[missing] * (count - len(each))]]
    width = max(len(h.tokens) for h in padded)
    tokens = [[*h.tokens, *[padding] * (width - len(h.tokens))] for h in padded]
    generated = torch.tensor(tokens, dtype=torch.long, device=prompts.device).reshape(len(padded), width)
    sequences = torch.cat([prompts.repeat_interleave(count, 0), generated], dim=1)
    if not config.return_dict_in_generate:
        return sequences
    used = [[*h.rows, *[-1] * (width - len(h.rows))] for h in padded]
    indices = torch.tensor(used, dtype=torch.int32, device=prompts.device).reshape(len(padded), width)
    output_scores = bool(config.output_scores)
    return GenerateBeamDecoderOnlyOutput(
        sequences=sequences,
        sequences_scores=torch.tensor([h.score for h in padded], device=prompts.device)
        if output_scores
        else None,
        scores=tuple(scores) if output_scores else None,
        logits=tuple(logits) if config.output_logits else None,
        beam_indices=indices,
        past_key_values=rows.cache,
    )
