"""Reports of searches in a space without accuracies: by what their guides told, and by sizes."""
