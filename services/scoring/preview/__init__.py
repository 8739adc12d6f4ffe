"""`myaku config preview`: what a configuration would do to scores, bands and alerts."""
