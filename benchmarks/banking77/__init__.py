"""Banking77: what a description, sentences and real rows each buy, beside plain recipes on the same split."""
