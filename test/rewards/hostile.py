"""Programs that must be refused, in both formats: what an attacker, or a careless model, would write."""

from __future__ import annotations

import json

from rewards.hostile_documents import DOCUMENTS, EXPRESSIONS, YAMLS, document
from rewards.hostile_guidance import GUIDANCE


def programs() -> list[tuple[str, str]]:
    """(file name, text) of every hostile program."""
    terms = [("term.json", json.dumps(document(reward=[text]))) for text in EXPRESSIONS]
    terms += [("done.json", json.dumps(document(done=text))) for text in EXPRESSIONS[:60]]
    documents = [("document.json", text) for text in DOCUMENTS]
    yamls = [("document.yaml", text) for text in YAMLS]
    return [*terms, *documents, *yamls, *(("stage.txt", text) for text in GUIDANCE)]
