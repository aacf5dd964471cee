"""`.keras` files of anybody, read as data: nothing in them is unpickled, imported by name, or executed."""
