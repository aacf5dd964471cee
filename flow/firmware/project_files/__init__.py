"""The text files of a project folder, a kind a module: each function gives the content of one file."""
