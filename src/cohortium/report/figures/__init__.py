"""Figures of the report, one module per family. Each takes records or arrays and gives a :class:`Drawing`."""
