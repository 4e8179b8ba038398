"""Names of jobs: what a job works on decides what it is called (docs/adr/0003)."""

import hashlib
import json

DIGITS = 16


def job_name(program: str, *content: object) -> str:
    """`<program>-<digest of content>`; the same content again names the same job."""
    text = json.dumps(content, sort_keys=True, default=str)
    return f"{program}-{hashlib.sha256(text.encode()).hexdigest()[:DIGITS]}"
