"""The only code that speaks HTTP to mail and calendar providers. Knows no models."""
