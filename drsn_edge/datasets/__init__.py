"""Data sets for training: recordings in, labelled windows on sides that share no sample out."""
