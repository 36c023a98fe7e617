"""How results are told: claims, tables, figures, the report."""
