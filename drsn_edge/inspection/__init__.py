"""The report on an int8 file: a file in, what it is, what it suits and what it does to windows out."""
