"""Trains the tiny model, a byte-level BPE tokenizer and a Llama of 1.8 million parameters, on a CPU.

``python examples/tiny_model/train.py`` writes ``examples/tiny_model/weights``; see the README beside it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import corpus
import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tqdm import tqdm
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

FOLDER = Path(__file__).resolve().parent
PAD = "<|pad|>"
VOCABULARY_SIZE = 4096
CONTEXT = 1024
#: short windows first, for speed; then whole contexts, so that all positions are trained
SHORT_WINDOW = 256
SHORT_SHARE = 0.7
MATRIX_RATE = 0.015
OTHER_RATE = 0.008
WARM_UP = 0.03
DECAY = 0.5


@dataclass(frozen=True)
class Schedule:
    """How far training has come, by steps or by the clock, whichever is further.

    The clock only matters on a machine too slow for the planned steps: the learning rate still decays to
    zero in time. Otherwise the run is a function of the seed, up to the rounding of parallel sums.
    """

    steps: int
    seconds: float
    start: float

    def progress(self, step: int) -> float:
        """Return the finished share of the training, from 0 to 1."""
        return min(1.0, max(step / self.steps, (time.monotonic() - self.start) / self.seconds))

    @staticmethod
    def rate(progress: float) -> float:
        """Return the factor of the learning rate: warm-up, plateau, linear decay."""
        return min(1.0, (progress + 1e-3) / WARM_UP, (1 - progress) / DECAY)


def train_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer that covers all 256 bytes, so that every text has tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[corpus.END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=corpus.END,
        eos_token=corpus.END,
        pad_token=PAD,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def encode(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> npt.NDArray[np.uint16]:
    """Return the token ids of all texts in one row, an end token after each, shape (tokens,)."""
    rows = []
    for first in range(0, len(texts), 1000):
        for row in tokenizer(list(texts[first : first + 1000]), verbose=False)["input_ids"]:
            rows.append(np.array([*row, tokenizer.eos_token_id], dtype=np.uint16))
    return np.concatenate(rows)


def new_model(
    tokenizer: PreTrainedTokenizerFast, width: int = 160, inner: int = 448, context: int = CONTEXT
) -> LlamaForCausalLM:
    """Return an untrained model in float32: 4 layers, embeddings tied."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        use_cache=True,
    )
    return LlamaForCausalLM(config)


def windows(tokens: npt.NDArray[np.uint16], length: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield all windows of `length` tokens in random order, again and again, in a new cut each time."""
    rng = np.random.default_rng([seed, length])
    while True:
        offset = int(rng.integers(min(length, len(tokens) - length) + 1))
        starts = np.arange(offset, len(tokens) - length + 1, length)
        for start in rng.permutation(starts):
            yield tokens[start : start + length].astype(np.int64)


@torch.no_grad()
def evaluate(model: LlamaForCausalLM, tokens: npt.NDArray[np.uint16]) -> float:
    """Return the mean loss in nats per token over consecutive windows of one context each."""
    length = min(CONTEXT, len(tokens))
    losses = []
    model.eval()
    for start in range(0, len(tokens) - length + 1, length):
        row = torch.from_numpy(tokens[None, start : start + length].astype(np.int64))
        losses.append(float(model(input_ids=row, labels=row).loss))
    model.train()
    return sum(losses) / len(losses)


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write model and tokenizer into `folder`, each file at once, so that readers never see half a file."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        # The name that transformers 4 and 5 both know; 5 would write its own new one.
        path = Path(scratch, "tokenizer_config.json")
        settings = json.loads(path.read_text("utf-8")) | {"tokenizer_class": "PreTrainedTokenizerFast"}
        path.write_text(json.dumps(settings, indent=2) + "\n", "utf-8")
        for source in sorted(Path(scratch).iterdir()):
            target = folder / source.name
            source.chmod(0o644)
            os.replace(source, target)


def optimizers(model: LlamaForCausalLM) -> list[tuple[torch.optim.Optimizer, float]]:
    """Return Muon for the matrices inside the layers and AdamW for the rest, each with its learning rate."""
    inner = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    other = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    return [
        (torch.optim.Muon(inner, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"), MATRIX_RATE),
        (torch.optim.AdamW(other, betas=(0.9, 0.98), weight_decay=0.0), OTHER_RATE),
    ]


def train(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    tokens: npt.NDArray[np.uint16],
    held_out: dict[str, npt.NDArray[np.uint16]],
    arguments: argparse.Namespace,
) -> float:
    """Train, saving the best weights after each evaluation; return their held-out loss on JSON."""
    schedule = Schedule(arguments.steps, 60 * arguments.minutes, time.monotonic())
    parts = optimizers(model)
    streams = {length: windows(tokens, length, arguments.seed) for length in (SHORT_WINDOW, CONTEXT)}
    best, smooth = math.inf, math.nan
    next_evaluation = time.monotonic() + 60 * arguments.evaluate_minutes
    model.train()
    bar = tqdm(range(arguments.steps), desc="training", unit="step", mininterval=2.0)
    for step in bar:
        progress = schedule.progress(step)
        last = step == arguments.steps - 1 or progress >= 1
        length = SHORT_WINDOW if progress < SHORT_SHARE else CONTEXT
        rows = [next(streams[length]) for _ in range(max(1, arguments.batch_tokens // length))]
        batch = torch.from_numpy(np.stack(rows))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, rate in parts:
            optimizer.param_groups[0]["lr"] = rate * schedule.rate(progress)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        smooth = loss.item() if math.isnan(smooth) else 0.97 * smooth + 0.03 * loss.item()
        bar.set_postfix(loss=f"{smooth:.3f}", best=f"{best:.3f}", refresh=False)
        if last or time.monotonic() >= next_evaluation:
            losses = {name: evaluate(model, part) for name, part in held_out.items()}
            shown = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
            tqdm.write(f"step {step + 1}: train {smooth:.3f}, held out: {shown} nats per token")
            if losses["json"] < best:
                best = losses["json"]
                save(model, tokenizer, arguments.output)
            next_evaluation = time.monotonic() + 60 * arguments.evaluate_minutes
        if progress >= 1:
            break
    bar.close()
    return best


def main(argv: Sequence[str] | None = None) -> None:
    """Make the corpus, train the tokenizer and the model, write both."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--output", type=Path, default=FOLDER / "weights", help="folder to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=2400, help="optimizer steps")
    parser.add_argument("--minutes", type=float, default=40.0, help="end after this time, decayed as planned")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parser.add_argument("--batch-tokens", type=int, default=4096, help="tokens in one step")
    parser.add_argument("--characters", type=int, default=32_000_000, help="size of the corpus")
    parser.add_argument("--evaluate-minutes", type=float, default=2.0, help="time between evaluations")
    arguments = parser.parse_args(argv)
    disable_progress_bar()  # of saving: it would break into the bar of the training
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    start = time.monotonic()

    print("making the corpus", flush=True)
    texts = [document.text for document in corpus.documents(arguments.seed, arguments.characters)]
    size = min(400_000, arguments.characters // 5)
    kept = list(corpus.documents(f"held-out-{arguments.seed}", size, held_out=True))
    print(f"{len(texts)} documents; training the tokenizer", flush=True)
    tokenizer = train_tokenizer(texts[: max(100, len(texts) // 4)])
    tokens = encode(tokenizer, texts)
    held_out = {
        "json": encode(tokenizer, [d.text for d in kept if d.kind not in ("sql", "python")]),
        "sql": encode(tokenizer, [d.text for d in kept if d.kind == "sql"]),
        "python": encode(tokenizer, [d.text for d in kept if d.kind == "python"]),
    }
    ratio = sum(map(len, texts)) / len(tokens)
    model = new_model(tokenizer)
    print(
        f"{len(tokens)} tokens, {ratio:.2f} characters each; {model.num_parameters()} parameters", flush=True
    )
    best = train(model, tokenizer, tokens, held_out, arguments)
    size = sum(path.stat().st_size for path in arguments.output.iterdir())
    minutes = (time.monotonic() - start) / 60
    print(f"{arguments.output}: {size} bytes, held-out JSON loss {best:.3f}, {minutes:.1f} minutes in all")


if __name__ == "__main__":
    main()
