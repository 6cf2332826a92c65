"""Trains the model of ``python -m jsonschemabench repetition``: Python functions, 0.9 million parameters.

``python examples/tiny_model/train_code.py`` writes ``examples/tiny_model/code_weights`` in half precision.
It learns the functions of the standard library of the running interpreter, without those that prompts are
cut from.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import train
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from tqdm import tqdm
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from jsonschemabench.repetition_sources import library_functions

END = "<|endoftext|>"
VOCABULARY_SIZE = 1024
CONTEXT = 768
#: the end of a line and the indentation of the next; a word with the space in front; a digit; other signs
PIECES = r"\n *| ?[A-Za-z_]+|[0-9]| ?[^\sA-Za-z_0-9]+| +"


def train_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer with tokens for the end of a line and its indentation together."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
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


def stream(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], epochs: int, seed: int
) -> npt.NDArray[np.uint16]:
    """Return the tokens of all texts, an end token between any two, in another order each epoch."""
    rows = [
        np.array([tokenizer.eos_token_id, *row], np.uint16) for row in tokenizer(list(texts))["input_ids"]
    ]
    rng = random.Random(seed)
    return np.concatenate([row for _ in range(epochs) for row in rng.sample(rows, len(rows))])


@torch.no_grad()
def evaluate(model: LlamaForCausalLM, tokens: npt.NDArray[np.uint16], windows: int = 40) -> float:
    """Return the mean loss in nats per token over the first windows of one context each."""
    rows = tokens[: len(tokens) // CONTEXT * CONTEXT].reshape(-1, CONTEXT)[:windows]
    model.eval()
    batches = [torch.from_numpy(rows[i : i + 8].astype(np.int64)) for i in range(0, len(rows), 8)]
    loss = sum(float(model(input_ids=batch, labels=batch).loss) * len(batch) for batch in batches)
    model.train()
    return loss / len(rows)


def main(argv: Sequence[str] | None = None) -> None:
    """Train the tokenizer and the model, write both."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--output", type=Path, default=train.FOLDER / "code_weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=2400, help="optimizer steps")
    parser.add_argument("--minutes", type=float, default=11.5, help="end after this time, decayed as planned")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--batch-tokens", type=int, default=4608, help="tokens in one step")
    arguments = parser.parse_args(argv)
    disable_progress_bar()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)

    texts, kept = library_functions(), library_functions(held_out=True)
    tokenizer = train_tokenizer(texts)
    tokens = stream(tokenizer, texts, 12, arguments.seed)
    held_out = stream(tokenizer, kept, 1, arguments.seed)
    model = new_model(tokenizer)
    ratio = sum(map(len, kept)) / len(held_out)
    print(
        f"{len(texts)} functions, {ratio:.2f} characters a token, {model.num_parameters()} parameters",
        flush=True,
    )
    source = {length: train.windows(tokens, length, arguments.seed) for length in (CONTEXT // 3, CONTEXT)}
    parts = train.optimizers(model)
    schedule = train.Schedule(arguments.steps, 60 * arguments.minutes, time.monotonic())
    model.train()
    bar = tqdm(range(arguments.steps), desc="training", unit="step", mininterval=2.0)
    for step in bar:
        progress = schedule.progress(step)
        length = CONTEXT // 3 if progress < train.SHORT_SHARE else CONTEXT
        rows = [next(source[length]) for _ in range(arguments.batch_tokens // length)]
        batch = torch.from_numpy(np.stack(rows))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, rate in parts:
            optimizer.param_groups[0]["lr"] = rate * schedule.rate(progress)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
        if step % 300 == 299 or progress >= 1 or step == arguments.steps - 1:
            tqdm.write(f"step {step + 1}, held out: {evaluate(model, held_out):.3f} nats per token")
        if progress >= 1:
            break
    bar.close()
    train.save(model.half(), tokenizer, arguments.output)
    size = sum(path.stat().st_size for path in arguments.output.iterdir())
    print(f"{arguments.output}: {size} bytes, {(time.monotonic() - schedule.start) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
