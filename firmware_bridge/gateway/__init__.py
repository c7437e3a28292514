"""The two bundle slots of a gateway, and the agent that changes them.

This package does not know what a bundle contains, nor whether it runs on this machine: the caller passes in a verifier
and a health gate as callables.
"""
