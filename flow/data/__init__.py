"""Jets: read from files, split by event, or made with Pythia when no file is at hand."""
