"""Search over networks, methods, foldings and boards: accuracy against hardware cost, every point measured through the stages."""
