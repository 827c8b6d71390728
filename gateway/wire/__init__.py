"""The shapes of OpenAI's API as structs; no behaviour."""
