"""Pictures to look at: a few cases side by side, and a volume with its map laid over it."""
