"""What group beam search of transformers 4 returned: the cases, and the script that records them.

``python tests/hf/version_4.py`` writes ``version_4.json``. It needs a transformers of version 4 that still
has group beam search, and nothing of ours: 4.46.3 wrote the file that is here, and 4.53.3 writes the same
texts. The model's weights are drawn by NumPy, so that they are the same whatever the versions of torch and
transformers.
"""

import dataclasses
import json
import random
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM

RECORDS = Path(__file__).with_suffix(".json")
END, OTHER_END, PAD, VOCABULARY = 0, 7, 3, 12
COUNT = 120


@dataclasses.dataclass(frozen=True)
class Case:
    """The options of one call of ``generate``."""

    seed: int
    groups: int
    beams: int
    diversity_penalty: float
    length_penalty: float
    early_stopping: Any
    max_new_tokens: int
    prompts: tuple[tuple[int, ...], ...]
    ends: tuple[int, ...]
    pad: int
    forced: bool
    """Whether only 8 may follow 5."""

    def generate(self, model: Any, **options: Any) -> Any:
        """Call ``generate``; all sequences are returned, with their scores."""
        longest = max(map(len, self.prompts))
        ids = [[*[self.pad] * (longest - len(prompt)), *prompt] for prompt in self.prompts]
        mask = [[*[0] * (longest - len(prompt)), *[1] * len(prompt)] for prompt in self.prompts]
        return model.generate(
            torch.tensor(ids),
            attention_mask=torch.tensor(mask),
            num_beams=self.groups * self.beams,
            num_beam_groups=self.groups,
            diversity_penalty=self.diversity_penalty,
            length_penalty=self.length_penalty,
            early_stopping=self.early_stopping,
            max_new_tokens=self.max_new_tokens,
            eos_token_id=list(self.ends),
            pad_token_id=self.pad,
            num_return_sequences=self.groups * self.beams,
            do_sample=False,
            return_dict_in_generate=True,
            output_scores=True,
            prefix_allowed_tokens_fn=_after if self.forced else None,
            **options,
        )

    def generated(self, output: Any) -> list[list[list[int]]]:
        """Return of each prompt the tokens of its sequences, up to an end token."""
        rows = output.sequences[:, max(map(len, self.prompts)) :].tolist()
        texts = []
        for row in rows:
            stop = next((i + 1 for i, token in enumerate(row) if token in self.ends), len(row))
            texts.append(row[:stop])
        count = self.groups * self.beams
        return [texts[i : i + count] for i in range(0, len(texts), count)]


def _after(_: int, ids: torch.Tensor) -> list[int]:
    return [8] if ids[-1] == 5 else list(range(VOCABULARY))


def cases() -> list[Case]:
    """Return the cases, made from a seed."""
    found = []
    for seed in range(COUNT):
        rng = random.Random(seed)
        prompts = tuple(
            tuple(rng.choices([1, 2, 4, 5], k=rng.randint(1, 4))) for _ in range(rng.choice([1, 1, 2]))
        )
        case = Case(
            seed % 6,
            rng.choice([2, 2, 3, 4]),
            rng.choice([1, 2, 3]),
            rng.choice([0.2, 0.5, 1.0, 5.0]),
            rng.choice([-0.5, 0.0, 1.0, 1.0, 2.0]),
            rng.choice([False, False, True, "never"]),
            rng.choice([3, 6, 10]),
            prompts,
            rng.choice([(END,), (END,), (END, OTHER_END)]),
            rng.choice([PAD, PAD, END]),
            rng.choice([False, False, True]),
        )
        if case.forced:
            # With a forced first token there is one beam, and version 4 makes copies of it with -1e9.
            case = dataclasses.replace(case, prompts=tuple((*prompt, 4) for prompt in prompts))
        found.append(case)
    return found


def model(seed: int) -> LlamaForCausalLM:
    """Return a small model with made weights."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
    )
    made = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
            values = 1.0 + 0.1 * rng.standard_normal(parameter.shape)
            if parameter.dim() > 1:
                values = 0.6 * rng.standard_normal(parameter.shape)
            parameter.copy_(torch.from_numpy(values).float())
    return made


def main() -> None:
    """Record."""
    models = {case.seed: model(case.seed) for case in cases()}
    records = []
    for case in cases():
        output = case.generate(models[case.seed])
        scores = [round(score, 5) for score in output.sequences_scores.tolist()]
        records.append({"texts": case.generated(output), "scores": scores})
    lines = ",\n".join(json.dumps(record, separators=(",", ":")) for record in records)
    version = json.dumps(transformers.__version__)
    RECORDS.write_text(f'{{"transformers": {version}, "records": [\n{lines}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
