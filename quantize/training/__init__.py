"""Fake quantization in Keras: a float network in, a network trained with int8 rounding out."""
