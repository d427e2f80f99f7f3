"""What a command leaves behind: rows, the files they are in, and the record beside them."""
