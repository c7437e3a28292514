"""The search for inputs and network: recordings and a hold-out rule in, settings and their expected accuracy out."""
