"""Wire formats: what OpenAI-compatible clients send and get."""
