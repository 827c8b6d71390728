"""Personal data replaced by placeholders, and put back."""
