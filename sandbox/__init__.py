"""A local stand-in for the Nylas v3 HTTP API, all people invented.

Imports nothing of the product.
"""
