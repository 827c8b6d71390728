"""Wire formats of OpenAI-compatible clients and servers."""
