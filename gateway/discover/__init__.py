"""What logged calls say of the prompts behind them: which are small decisions, and what those cost."""
