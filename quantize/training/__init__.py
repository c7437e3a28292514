"""Fake quantization in Keras: a float network in, one that has learned with int8 rounding out."""
