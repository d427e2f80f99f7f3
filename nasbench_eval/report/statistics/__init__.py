"""What is computed of scores and accuracies beside a table's correlations; nothing is read or drawn here."""
