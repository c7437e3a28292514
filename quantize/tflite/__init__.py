"""TFLite files: bytes in, plain tables of operators, tensors and their memory out."""
