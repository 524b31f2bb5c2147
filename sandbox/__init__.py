"""A local stand-in for the Nylas v3 HTTP API, with invented people. Imports nothing of the product."""
