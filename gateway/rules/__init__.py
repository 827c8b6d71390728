"""Rules: which requests they meet, what they decide, how a decision is carried out."""
