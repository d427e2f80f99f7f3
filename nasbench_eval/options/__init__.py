"""What was asked for: the command line, checked, and its options as typed values."""
