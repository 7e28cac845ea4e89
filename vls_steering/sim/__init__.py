"""The simulated world: model, layouts, cameras, scorer, scripted teacher and oracle.  Truth is for scoring only."""
