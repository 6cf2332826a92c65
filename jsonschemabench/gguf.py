"""A vocabulary as a GGUF file without weights, which is what llama.cpp's grammars need.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, version 3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

from jsonschemabench.vocabularies import BenchVocabulary

# Of gguf_metadata_value_type and, for tokens, llama_token_type.
_UINT32, _INT32, _STRING, _ARRAY = 4, 5, 8, 9
_NORMAL, _CONTROL, _UNUSED = 1, 3, 5


def byte_characters() -> list[str]:
    """Return the character by which byte-level BPE spells each byte (GPT-2's ``bytes_to_unicode``)."""
    shown = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return [chr(byte if byte in shown else next(others)) for byte in range(256)]


def write_vocabulary(vocabulary: BenchVocabulary, file: Path) -> None:
    """Write ``vocabulary`` as byte-level BPE without merges: it spells tokens, but can't tokenise.

    Ids without bytes are unused tokens, but for the end token: llama.cpp would let a grammar
    spell the names of control tokens, and no other engine here does.
    """
    spelling = byte_characters()
    texts, kinds = [], []
    for token, data in enumerate(vocabulary.tokens):
        texts.append("".join(spelling[byte] for byte in data) or f"<unused {token}>")
        kinds.append(_NORMAL if data else _UNUSED)
    kinds[vocabulary.eos_token_id] = _CONTROL
    values = [
        ("general.architecture", _string_value("llama")),
        ("tokenizer.ggml.model", _string_value("gpt2")),
        ("tokenizer.ggml.pre", _string_value("default")),
        ("tokenizer.ggml.tokens", _array(_STRING, map(_string, texts))),
        ("tokenizer.ggml.token_type", _array(_INT32, (struct.pack("<i", kind) for kind in kinds))),
        # There must be some.
        ("tokenizer.ggml.merges", _array(_STRING, [_string(f"{spelling[32]} {spelling[32]}")])),
        ("tokenizer.ggml.eos_token_id", struct.pack("<II", _UINT32, vocabulary.eos_token_id)),
    ]
    with file.open("wb") as out:
        out.write(struct.pack("<4sIQQ", b"GGUF", 3, 0, len(values)))
        for name, value in values:
            out.write(_string(name) + value)


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _string_value(text: str) -> bytes:
    return struct.pack("<I", _STRING) + _string(text)


def _array(kind: int, elements: Iterable[bytes]) -> bytes:
    packed = list(elements)
    return struct.pack("<IIQ", _ARRAY, kind, len(packed)) + b"".join(packed)
