"""The language reference, generated from the vocabulary that the parser itself uses."""

from __future__ import annotations

from vls_steering.rewards.words import VOCABULARY


def language_reference() -> str:
    """One line per word: signature, meaning, example."""
    return VOCABULARY.reference()
