"""What a slot's words say: typed values. English dates, times, amounts and numbers; other words stay as they are."""
