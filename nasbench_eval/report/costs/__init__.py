"""What scores know of accuracy beyond what networks cost on devices, and what they pick within a budget."""
