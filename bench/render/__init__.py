"""How a table is written: one module a format, each a function of `bench.render_table.Table`."""
