"""The benchmark: data, training, scoring, records, tables and figures."""
