"""Tells a person of trouble: one process looks, another one, which alone has the network, tells."""
