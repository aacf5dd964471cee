"""The steps of the loop, each a function of the state before it; `flow.codesign` lists them in order."""
