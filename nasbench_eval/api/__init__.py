"""What the package offers in Python: scores of networks of one's own, runs, diagnoses, sweeps of sizes."""
