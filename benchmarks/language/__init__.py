"""Which texts are told to be in another language: short asks that should be, and English messages that should not."""
