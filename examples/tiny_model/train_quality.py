"""Trains the model of ``python -m jsonschemabench quality``: five domains, 0.8 million parameters.

``python examples/tiny_model/train_quality.py`` writes ``examples/tiny_model/quality_weights`` in half
precision. The tasks are those of ``jsonschemabench.tasks`` that are not held out, made as they are needed.
"""

from __future__ import annotations

import argparse
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import train
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tqdm import tqdm
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from jsonschemabench.tasks import DOMAINS, Task

END = "<|endoftext|>"
VOCABULARY_SIZE = 512
CONTEXT = 256
#: what padding and prompts have as labels: nothing is learned from them
IGNORED = -100
#: steps whose tasks are made together and sorted by length, to pad little
POOL = 16

Row = tuple[list[int], int]


def train_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer with a token of its own for each digit."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Return an untrained model: 4 layers of width 128, embeddings tied."""
    return train.new_model(tokenizer, width=128, inner=352, context=CONTEXT)


def encode(tokenizer: PreTrainedTokenizerFast, tasks: Sequence[Task]) -> list[Row]:
    """Return of each task the tokens and how many of them are the prompt's, the end token before it included.

    Prompt and answer are encoded apart, as they are when the model is used.
    """
    prompts = tokenizer([task.prompt for task in tasks])["input_ids"]
    answers = tokenizer([task.reference for task in tasks])["input_ids"]
    end = tokenizer.eos_token_id
    return [([end, *p, *a, end], len(p) + 1) for p, a in zip(prompts, answers, strict=True)]


def collate(rows: Sequence[Row], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs and labels, (rows, longest) each; padding is on the right and needs no mask."""
    length = max(len(tokens) for tokens, _ in rows)
    inputs = [tokens + [padding] * (length - len(tokens)) for tokens, _ in rows]
    labels = [
        [IGNORED] * prompt + tokens[prompt:] + [IGNORED] * (length - len(tokens)) for tokens, prompt in rows
    ]
    return torch.tensor(inputs), torch.tensor(labels)


def batches(
    tokenizer: PreTrainedTokenizerFast, size: int, seed: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield inputs and labels of batches, the domains in equal shares, without end."""
    rng = random.Random(seed)
    sources = itertools.cycle([domain.training_tasks(seed) for domain in DOMAINS.values()])
    while True:
        rows = encode(tokenizer, [next(next(sources)) for _ in range(size * POOL)])
        rows.sort(key=lambda row: len(row[0]))
        firsts = list(range(0, len(rows), size))
        rng.shuffle(firsts)
        for first in firsts:
            yield collate(rows[first : first + size], tokenizer.pad_token_id)


@torch.no_grad()
def evaluate(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tasks: Sequence[Task]
) -> tuple[float, float]:
    """Return the loss in nats per token of the answers, and the share that greedy choices would get whole."""
    inputs, labels = collate(encode(tokenizer, tasks), tokenizer.pad_token_id)
    model.eval()
    output = model(input_ids=inputs, labels=labels)
    model.train()
    wanted = labels[:, 1:]
    right = (output.logits[:, :-1].argmax(-1) == wanted) | (wanted == IGNORED)
    return float(output.loss), float(right.all(1).float().mean())


def main(argv: Sequence[str] | None = None) -> None:
    """Train the tokenizer and the model, write both."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--output", type=Path, default=train.FOLDER / "quality_weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=2800, help="optimizer steps")
    parser.add_argument("--minutes", type=float, default=12.0, help="end after this time, decayed as planned")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--batch", type=int, default=40, help="tasks in one step")
    arguments = parser.parse_args(argv)
    disable_progress_bar()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)

    sample = [next(tasks) for d in DOMAINS.values() for tasks in [d.training_tasks(-1)] for _ in range(2000)]
    tokenizer = train_tokenizer([text for task in sample for text in (task.prompt, task.reference)])
    model = new_model(tokenizer)
    print(f"{len(tokenizer)} tokens, {model.num_parameters()} parameters", flush=True)
    source = batches(tokenizer, arguments.batch, arguments.seed)
    parts = train.optimizers(model)
    schedule = train.Schedule(arguments.steps, 60 * arguments.minutes, time.monotonic())
    model.train()
    bar = tqdm(range(arguments.steps), desc="training", unit="step", mininterval=2.0)
    for step in bar:
        progress = schedule.progress(step)
        inputs, labels = next(source)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(input_ids=inputs, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, rate in parts:
            optimizer.param_groups[0]["lr"] = rate * schedule.rate(progress)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
        if step % 250 == 249 or progress >= 1:
            shown = [
                f"{name} {loss:.3f} {whole:.0%}"
                for name, domain in DOMAINS.items()
                for loss, whole in [evaluate(model, tokenizer, domain.test_tasks(50, seed=1))]
            ]
            tqdm.write(f"step {step + 1}, held out (nats per token, whole answers): {', '.join(shown)}")
        if progress >= 1:
            break
    bar.close()
    train.save(model.half(), tokenizer, arguments.output)
    size = sum(path.stat().st_size for path in arguments.output.iterdir())
    print(f"{arguments.output}: {size} bytes, {(time.monotonic() - schedule.start) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
