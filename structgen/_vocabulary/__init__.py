"""Vocabularies: the bytes of every token id, and how to read them off the usual tokenizers."""

from structgen._vocabulary.vocabulary import Vocabulary

__all__ = ["Vocabulary"]
