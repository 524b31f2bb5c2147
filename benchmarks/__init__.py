"""How fast mail is read, always beside a floor measured in the same run (docs/performance.md)."""
