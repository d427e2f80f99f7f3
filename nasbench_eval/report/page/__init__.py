"""What the interactive page is made of: its data, template, style and scripts."""
