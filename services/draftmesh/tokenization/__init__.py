"""Text to tokens and back, without losing a byte: vocabularies as bytes, drafts translated between tokenizers.

Coordinators run this on the token path of every session, so it knows neither torch nor transformers.
"""

from __future__ import annotations

from draftmesh.tokenization.detokenizer import IncrementalDetokenizer
from draftmesh.tokenization.loading import load_tokenizer, tokenizer_from_files
from draftmesh.tokenization.pipeline import TokenizerFamily
from draftmesh.tokenization.tokenizer import Encoded, Tokenizer
from draftmesh.tokenization.translation import DraftTranslator, Translation
from draftmesh.tokenization.vocabulary import Vocabulary

__all__ = [
    "DraftTranslator",
    "Encoded",
    "IncrementalDetokenizer",
    "Tokenizer",
    "TokenizerFamily",
    "Translation",
    "Vocabulary",
    "load_tokenizer",
    "tokenizer_from_files",
]
