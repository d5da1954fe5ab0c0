"""`bench page`: `bench transfer` in a browser. Gradio is imported by `view` alone, and no sooner than it is needed."""
