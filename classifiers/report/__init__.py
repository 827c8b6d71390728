"""What training measured, for people: report.html with pictures and MODEL_CARD.md."""
