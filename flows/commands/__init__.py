"""The commands: their options, their help, and how their results are printed. Importing this package registers them."""
