"""Images and batches of them, and the folder where they lie."""
