"""A gateway's bundles: the two slots, the agent that changes them, and the ways to it.

What a bundle is and whether it runs here is not known here: a verifier and a health gate are given as callables.
"""
