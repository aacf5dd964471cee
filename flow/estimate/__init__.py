"""What a design will cost, asked from the command line; and the reports that the answer learns from."""
