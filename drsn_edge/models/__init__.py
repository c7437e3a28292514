"""The DRSN family: a `DrsnConfig` in, the Keras model of it out. The configuration needs no Keras."""
