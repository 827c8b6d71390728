"""What calls cost, and what calls not made would have cost."""
