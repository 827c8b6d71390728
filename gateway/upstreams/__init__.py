"""Where calls are sent, and how their answers come back."""
