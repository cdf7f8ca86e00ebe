"""What units cost: their hardware counted in named parts, and what a part takes on a family of devices, fitted to synthesis."""
