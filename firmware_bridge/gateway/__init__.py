"""The two slots of a gateway, and the agent that changes them: bytes of a bundle in, a slot out.

What a bundle is and whether it runs here is not known here: a verifier and a health gate are given as callables.
"""
