"""The DRSN family: a `DrsnConfig` in, its Keras model out. The configuration needs no Keras."""
