"""The methods that ``repetition`` compares, and one run of one of them (needs PyTorch and transformers)."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from jsonschemabench.repetition import METHODS, RepetitionRow
from jsonschemabench.repetition_metrics import compiles, loops, loops_in_structure, tr_n, tr_s
from jsonschemabench.repetition_prompts import Prompt
from structgen import DEAD, TokenAutomaton, Vocabulary, compile_lark
from structgen.hf import AutomatonLogitsProcessor, GrammarRepetitionPenalty


@dataclass(eq=False)
class Bench:
    """A model with its tokenizer, on which methods are run.

    Parameters
    ----------
    model, tokenizer
        Of transformers.
    max_new_tokens
        Tokens after which a generation is stopped.
    """

    model: Any
    tokenizer: Any
    max_new_tokens: int

    @classmethod
    def load(cls, folder: Path, max_new_tokens: int, device: str = "cpu") -> Bench:
        """Read a model and its tokenizer from a folder; on a CPU it computes in float32, on one thread."""
        if device == "cpu":
            torch.set_num_threads(1)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        dtype = torch.float32 if device == "cpu" else "auto"
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=dtype)
        return cls(model.to(device).eval(), tokenizer, max_new_tokens)

    @functools.cached_property
    def automaton(self) -> TokenAutomaton:
        """Python over the model's vocabulary."""
        vocabulary = Vocabulary.from_tokenizer(
            self.tokenizer, self.model.config.vocab_size, eos_token_ids=self.tokenizer.eos_token_id
        )
        return compile_lark("grammars:python", vocabulary, start="file_input", postlex="python")

    def encode(self, prompt: Prompt) -> tuple[list[int], int]:
        """Return the tokens of a prompt, and how many of them are special ones in front of the code."""
        tokens: list[int] = self.tokenizer(prompt.text)["input_ids"]
        first = self.tokenizer.bos_token_id
        if tokens[0] not in self.tokenizer.all_special_ids and first is not None:
            tokens = [first, *tokens]
        return tokens, int(tokens[0] in self.tokenizer.all_special_ids)

    def fits(self, prompt: Prompt) -> bool:
        """Whether the model's context has room for the prompt and all that may be generated."""
        context = getattr(self.model.config, "max_position_embeddings", None)
        return context is None or len(self.encode(prompt)[0]) + self.max_new_tokens <= context

    def is_python(self, prompt: Prompt) -> bool:
        """Whether the prompt is the beginning of a text of the grammar."""
        tokens, special = self.encode(prompt)
        session = self.automaton.session()
        state = session.start
        for token in tokens[special:]:
            state = session.step(state, token)
            if state == DEAD:
                return False
        return True

    @functools.cache  # noqa: B019 - a bench lives as long as its process
    def _processors(self, method: str, special: int) -> list[Any]:
        """Return the processors of a method; to them the prompt's code counts as generated: it is read."""
        settings = METHODS[method]
        processors: list[Any] = []
        if settings.constrained:
            processors.append(AutomatonLogitsProcessor(self.automaton, prompt_length=special))
        if settings.penalty is not None:
            processors.append(
                GrammarRepetitionPenalty(self.automaton, **settings.penalty, prompt_length=special)
            )
        return processors

    def run(self, prompt: Prompt, method: str, seed: int) -> RepetitionRow:
        """Generate once with a method and measure what comes out."""
        tokens, special = self.encode(prompt)
        processors = self._processors(method, special)
        for processor in processors:
            processor.reset()
        row = torch.tensor([tokens], device=self.model.device)
        torch.manual_seed(seed)
        wall, cpu = perf_counter(), process_time()
        output = self.model.generate(
            row,
            attention_mask=torch.ones_like(row),
            max_new_tokens=self.max_new_tokens,
            logits_processor=processors,
            pad_token_id=self.tokenizer.eos_token_id,
            **{"do_sample": False, **METHODS[method].options},
        )
        generated = output[0, len(tokens) :].tolist()
        wall, cpu = perf_counter() - wall, process_time() - cpu
        ended = generated[-1] == self.tokenizer.eos_token_id
        text = self.tokenizer.decode(generated[:-1] if ended else generated, skip_special_tokens=False)
        whole = prompt.text + text
        return RepetitionRow(
            kind=prompt.kind,
            number=prompt.number,
            method=method,
            seed=seed,
            copies=prompt.copies,
            ended=ended,
            tokens=len(generated),
            ngrams=tr_n(whole),
            statements=tr_s(whole),
            compiles=compiles(whole),
            loops=not ended and loops(prompt.text, text),
            structure_loops=not ended and loops_in_structure(prompt.text, text),
            seconds=wall,
            cpu_seconds=cpu,
            text=text,
        )
