"""Ours beside what people use: SetFit, a full fine-tune, tf-idf, nearest centroids, on one split and one machine."""
