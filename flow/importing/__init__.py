"""A network of the user's own, out of a `.keras` file: a task, and a design where it is quantized."""
