"""What is fitted on the frozen encoder's vectors."""
