"""The SGLang grammar backend in a simulated scheduler."""

import json
import re
import types

import jsonschema
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import structgen
from structgen.testing import tiny_model

END = 256
VOCABULARY = structgen.Vocabulary(structgen.Vocabulary.of_bytes().tokens, eos_token_ids=END, logits_size=260)
SCHEMA = {"type": "array", "items": {"enum": ["a", 12, None]}, "minItems": 1, "maxItems": 3}
KEYS = {
    "json": ("json", json.dumps(SCHEMA)),
    "regex": ("regex", "[ab]{1,4}c"),
    "ebnf": ("ebnf", 'root ::= "x" ("y" | "zz") "!"'),
    "lark": ("ebnf", '// structgen: lark\nstart: A "b"\nA: /a+/\n'),
}
PATTERNS = {"regex": "[ab]{1,4}c", "ebnf": "x(y|zz)!", "lark": "a+b"}


def conforms(name, text):
    if name == "json":
        return jsonschema.Draft202012Validator(SCHEMA).is_valid(json.loads(text))
    return re.fullmatch(PATTERNS[name], text) is not None


@pytest.fixture(scope="module")
def backend(sglang_plugin):
    return sglang_plugin.StructgenGrammarBackend(VOCABULARY)


def grammar_of(backend, key):
    """As SGLang's grammar manager gets it."""
    value, hit = backend.get_cached_or_future_value(key, False)
    if not hit:
        value = value.result()
        if hasattr(value, "accept_token"):
            backend.set_cache(key, value.copy())
    return value


@settings(max_examples=20, deadline=None)
@given(names=st.lists(st.sampled_from([*KEYS, None]), min_size=1, max_size=4), seed=st.integers(0, 2**32))
def test_every_output_conforms(backend, names, seed):
    generator = torch.Generator().manual_seed(seed)
    grammars = [None if name is None else grammar_of(backend, KEYS[name]) for name in names]
    outputs = [[] for _ in names]
    handle = next((grammar for grammar in grammars if grammar is not None), None)
    for _ in range(300):
        open_ = [i for i, grammar in enumerate(grammars) if grammar and not grammar.is_terminated()]
        if not open_:
            break
        mask = handle.allocate_vocab_mask(260, len(names), "cpu")
        for i in open_:
            grammars[i].fill_vocab_mask(mask, i)
        logits = torch.randn((len(names), 260), generator=generator)
        logits[:, END] += 2
        before = logits.clone()
        handle.apply_vocab_mask(logits, handle.move_vocab_mask(mask, "cpu"))
        for i in range(len(names)):
            if i not in open_:
                assert torch.equal(logits[i], before[i])
                continue
            token = int(torch.multinomial(torch.softmax(logits[i], -1), 1, generator=generator))
            grammars[i].accept_token(token)
            outputs[i].append(token)
    for name, output in zip(names, outputs, strict=True):
        if name is not None:
            assert output[-1] == END
            assert conforms(name, VOCABULARY.decode(output).decode())


def test_drafts_are_rolled_back(backend):
    grammar = grammar_of(backend, KEYS["regex"])
    grammar.accept_token(ord("a"))
    masks = grammar.allocate_vocab_mask(260, 2, "cpu")
    grammar.fill_vocab_mask(masks, 0)
    for token in (*b"bc", END):
        grammar.accept_token(token)
    assert grammar.is_terminated()
    grammar.rollback(3)
    assert not grammar.is_terminated()
    grammar.fill_vocab_mask(masks, 1)
    assert torch.equal(masks[0], masks[1])
    with pytest.raises(ValueError, match="roll back 2 of 1"):
        grammar.rollback(2)
    with pytest.raises(ValueError, match="not allowed after 1"):
        grammar.accept_token(ord("x"))
    # A copy is at its start; what is reset allows everything.
    assert grammar.copy().is_terminated() is False
    grammar.copy().accept_token(ord("b"))
    grammar.reset_vocab_mask(masks)
    assert (masks == -1).all()
    assert grammar.try_jump_forward(None) is None


def test_any_object(backend):
    grammar = grammar_of(backend, ("json", "$$ANY$$"))
    for token in (*b'{"k": [1]}', END):
        grammar.accept_token(token)
    assert grammar.is_terminated()
    with pytest.raises(ValueError, match="not allowed"):
        grammar.copy().accept_token(ord("["))


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (("json", '{"type": "strin"}'), "strin"),
        (("json", "{"), "JSON"),
        (("regex", "("), "("),
        (("ebnf", "root ::= ("), "line 1"),
        (("structural_tag", "{}"), "%text"),
    ],
)
def test_bad_constraints_carry_their_reason(backend, key, message):
    value = grammar_of(backend, key)
    assert type(value).__name__ == "InvalidGrammarObject"
    assert message in value.error_message


def test_registration(sglang_plugin):
    from sglang.srt import server_args
    from sglang.srt.constrained.base_grammar_backend import GRAMMAR_BACKEND_REGISTRY

    sglang_plugin.register()
    sglang_plugin.register()
    assert server_args.GRAMMAR_BACKEND_CHOICES.count("structgen") == 1
    model, tokenizer = tiny_model.load()
    backend = GRAMMAR_BACKEND_REGISTRY["structgen"](
        types.SimpleNamespace(), tokenizer, model.config.vocab_size, {tokenizer.eos_token_id}
    )
    grammar = grammar_of(backend, ("regex", "yes|no"))
    for token in tokenizer.encode("yes", add_special_tokens=False):
        grammar.accept_token(token)
    grammar.accept_token(tokenizer.eos_token_id)
    assert grammar.is_terminated()
