"""The categories of OpenAI's moderation endpoint."""

from typing import Final

CATEGORIES: Final = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
"""A policy's `taxonomy: {openai: …}` names them; its other labels join them under their own names."""
