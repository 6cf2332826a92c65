"""Ways to decode under a constraint, each taught the same tokens, with the whole cost of its constraint.

What a way would have drawn is drawn and thrown away: the next token is that of a given text. So all ways do
the same forward passes, and constrained ones see the same states of the constraint.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor

import structgen
from jsonschemabench.engines import EngineUnavailableError
from jsonschemabench.vocabularies import BenchVocabulary
from structgen.hf import AutomatonLogitsProcessor
from structgen.samplers import (
    BasePotential,
    Context,
    HuggingFaceModel,
    LocallyConstrained,
    MaskSampler,
    Potential,
    TokenSampler,
)
from structgen.samplers._draws import Draw, mask_draws
from structgen.samplers._masks import MasksAhead
from structgen.samplers._token_samplers import for_run, masks_ahead

LOOP, LOOP_FREE = "structgen, own loop", "own loop, unconstrained"
PROCESSOR, GENERATE_FREE = "structgen, model.generate", "model.generate, unconstrained"
XGRAMMAR, LLGUIDANCE = "xgrammar, model.generate", "llguidance, model.generate"

BASELINES = {LOOP: LOOP_FREE, PROCESSOR: GENERATE_FREE, XGRAMMAR: GENERATE_FREE, LLGUIDANCE: GENERATE_FREE}
"""The ways with a constraint, and without which each is compared."""

Way = Callable[[Any, Tensor, Sequence[Sequence[int]]], None]
"""Decodes given texts, all as long, as a batch: from the model, the prompt (1, P) and the tokens."""


class RefusedError(Exception):
    """An engine does not take a schema, or a text that is to be decoded."""


# -- the own loop ----------------------------------------------------------------------------


class _TaughtError(Exception):
    """All tokens have been taught."""


class _Anything(BasePotential):
    boolean = True

    def prefix(self, context: Context) -> float:
        return 0.0

    complete = prefix


class _Unconstrained:
    potential: Potential = _Anything()

    def draw(
        self, contexts: Sequence[Context], logprobs: Tensor, generator: torch.Generator | None
    ) -> list[Draw]:
        return mask_draws(logprobs, None, generator)


class Taught:
    """A token sampler that draws as another does, and then gives every row the next token of its text."""

    def __init__(self, inner: TokenSampler, texts: Sequence[Sequence[int]]) -> None:
        self._inner = inner
        self._texts = texts

    @property
    def potential(self) -> Potential:
        """The inner sampler's."""
        return self._inner.potential

    @property
    def ahead(self) -> MasksAhead | None:
        """The inner sampler's masks that are filled ahead."""
        return masks_ahead(self._inner)

    def for_run(self) -> Taught:
        """Return a sampler for one run."""
        return Taught(for_run(self._inner), self._texts)

    def draw(
        self, contexts: Sequence[Context], logprobs: Tensor, generator: torch.Generator | None
    ) -> list[Draw]:
        """Draw, and return the tokens to be taught.

        Raises
        ------
        RuntimeError
            A mask has no probability, or texts do not go on together.
        """
        at = contexts[0].length
        if at == len(self._texts[0]):
            raise _TaughtError
        draws = self._inner.draw(contexts, logprobs, generator)
        if len(contexts) != len(self._texts) or any(draw.log_weight == -torch.inf for draw in draws):
            raise RuntimeError(f"after {at} tokens, {len(contexts)} rows: not every text goes on")
        return [
            Draw(text[at], draw.log_weight, draw.calls) for text, draw in zip(self._texts, draws, strict=True)
        ]


def _own_loop(vocabulary: structgen.Vocabulary, sampler: TokenSampler) -> Way:
    def decode(model: Any, prompt: Tensor, texts: Sequence[Sequence[int]]) -> None:
        rows = HuggingFaceModel(model, vocabulary, prompt[0])
        taught = Taught(sampler, texts)
        try:
            # One token more than there are, for the last would be an end token.
            LocallyConstrained(len(texts)).run(rows, taught, max_tokens=len(texts[0]) + 2, seed=0)
        except _TaughtError:
            return
        raise AssertionError("the loop ended before its texts")

    return decode


# -- model.generate --------------------------------------------------------------------------


class _Teacher(LogitsProcessor):  # type: ignore[misc]
    """Leaves each row the next token of its text only, whatever came before."""

    def __init__(self, texts: Sequence[Sequence[int]], prompt: int, device: torch.device) -> None:
        self._tokens = torch.tensor(texts, device=device)
        self._prompt = prompt

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        at = input_ids.shape[1] - self._prompt
        return torch.full_like(scores, -torch.inf).scatter_(1, self._tokens[:, at : at + 1], 0.0)


class LLGuidanceProcessor(LogitsProcessor):  # type: ignore[misc]
    """llguidance by its own helpers for PyTorch: masks filled in parallel, and applied by its kernel.

    It has no processor for transformers of its own.
    """

    def __init__(self, tokenizer: Any, grammar: str, rows: int, words: int) -> None:
        import llguidance
        import llguidance.torch as helpers

        self._helpers = helpers
        self._executor = llguidance.LLExecutor()
        self._matchers = [(llguidance.LLMatcher(tokenizer, grammar, log_level=0), row) for row in range(rows)]
        self._masks = helpers.allocate_token_bitmask(rows, 32 * words)
        self._begun = False

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if self._begun:
            for (matcher, _), token in zip(self._matchers, input_ids[:, -1].tolist(), strict=True):
                matcher.consume_token(token)
        self._begun = True
        self._helpers.fill_next_token_bitmask_par(self._executor, self._matchers, self._masks)
        masks = self._masks.to(scores.device, non_blocking=True)
        self._helpers.apply_token_bitmask_inplace(scores, masks)
        return scores


def _generate(processor: Callable[[int], Any] | None) -> Way:
    def decode(model: Any, prompt: Tensor, texts: Sequence[Sequence[int]]) -> None:
        processors = [] if processor is None else [processor(len(texts))]
        processors.append(_Teacher(texts, prompt.shape[1], prompt.device))
        found = model.generate(
            prompt.expand(len(texts), -1),
            attention_mask=torch.ones_like(prompt).expand(len(texts), -1),
            logits_processor=processors,
            do_sample=False,
            max_new_tokens=len(texts[0]),
            pad_token_id=0,
        )
        if found[:, prompt.shape[1] :].tolist() != [list(text) for text in texts]:
            raise AssertionError("other tokens than were taught")

    return decode


# -- engines ---------------------------------------------------------------------------------


class Engines:
    """Compiles schemas for all ways.

    Parameters
    ----------
    vocabulary
        Of the model.
    """

    def __init__(self, vocabulary: BenchVocabulary) -> None:
        self._vocabulary = vocabulary
        self.structgen_vocabulary = structgen.Vocabulary(
            vocabulary.tokens,
            eos_token_ids=vocabulary.eos_token_id,
            special_token_ids=vocabulary.special_token_ids,
        )
        self._xgrammar: Any = None
        self._llguidance: Any = None

    def ways(self, names: Sequence[str], schema: Any, texts: Sequence[Sequence[int]]) -> dict[str, Way]:
        """Return ways by name, each compiled for a schema.

        Parameters
        ----------
        names
            Of :data:`BASELINES`; what they are compared with comes along.
        schema
            A JSON Schema.
        texts
            Tokens of beginnings of valid texts.

        Raises
        ------
        RefusedError
            An engine does not take the schema, or one of the texts.
        EngineUnavailableError
            xgrammar or llguidance cannot be imported.
        """
        found: dict[str, Way] = {}
        for name in names:
            free = BASELINES[name]
            if free == LOOP_FREE:
                found.setdefault(free, _own_loop(self.structgen_vocabulary, _Unconstrained()))
            else:
                found.setdefault(free, _generate(None))
            if name in (LOOP, PROCESSOR):
                found[name] = self._ours(name, schema, texts)
            elif name == XGRAMMAR:
                found[name] = self._of_xgrammar(schema, texts)
            else:
                found[name] = self._of_llguidance(schema, texts)
        return found

    def _ours(self, name: str, schema: Any, texts: Sequence[Sequence[int]]) -> Way:
        automaton = structgen.compile_json_schema(schema, self.structgen_vocabulary)
        for text in texts:
            if structgen.DEAD in automaton.step_many(automaton.start, text):
                raise RefusedError(f"{name} refuses a text")
        if name == LOOP:
            return _own_loop(self.structgen_vocabulary, MaskSampler(automaton))
        return _generate(lambda rows: AutomatonLogitsProcessor(automaton))

    def _of_xgrammar(self, schema: Any, texts: Sequence[Sequence[int]]) -> Way:
        try:
            import xgrammar
            import xgrammar.contrib.hf
        except ImportError as error:
            raise EngineUnavailableError(f"xgrammar can't be imported ({error})") from error
        if self._xgrammar is None:
            info = xgrammar.TokenizerInfo(
                list(self._vocabulary.tokens),
                xgrammar.VocabType.RAW,
                vocab_size=self._vocabulary.size,
                stop_token_ids=[self._vocabulary.eos_token_id],
            )
            self._xgrammar = xgrammar.GrammarCompiler(info)
        grammar = self._xgrammar.compile_json_schema(json.dumps(schema), strict_mode=False)
        for text in texts:
            matcher = xgrammar.GrammarMatcher(grammar)
            if not all(matcher.accept_token(token) for token in text):
                raise RefusedError(f"{XGRAMMAR} refuses a text")
        # One object serves one generation.
        return _generate(lambda rows: xgrammar.contrib.hf.LogitsProcessor(grammar))

    def _of_llguidance(self, schema: Any, texts: Sequence[Sequence[int]]) -> Way:
        try:
            import llguidance.tiktoken
        except ImportError as error:
            raise EngineUnavailableError(f"llguidance can't be imported ({error})") from error
        vocabulary = self._vocabulary
        if self._llguidance is None:
            self._llguidance = llguidance.tiktoken.lltokenizer_from_encoding(
                vocabulary.encoding, n_vocab=vocabulary.size, eos_token=vocabulary.eos_token_id
            )
        tokenizer = self._llguidance
        grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema))
        for text in texts:
            matcher = llguidance.LLMatcher(tokenizer, grammar, log_level=0)
            if not all(matcher.consume_token(token) for token in text):
                raise RefusedError(f"{LLGUIDANCE}: {matcher.get_error() or 'refuses a text'}")
        return _generate(lambda rows: LLGuidanceProcessor(tokenizer, grammar, rows, vocabulary.mask_words))
