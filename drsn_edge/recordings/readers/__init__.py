"""Readers, one for each file format: a file in, raw recordings out."""
