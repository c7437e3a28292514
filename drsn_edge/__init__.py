"""drsn-edge: compact deep residual shrinkage networks on edge gateways."""

__version__ = "0.1.0"
