"""The report on an int8 file: what it is, what it suits, what it does to windows. The file alone needs NumPy only."""
