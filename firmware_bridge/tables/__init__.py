"""Tables and lines of numbers: bytes in; their dialect, what each column is, and numbers out."""
