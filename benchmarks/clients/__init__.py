"""The tests in the source packages of openai and anthropic, run directly and through the gateway."""
