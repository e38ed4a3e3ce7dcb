"""What is seen: in the terminal, on a page, in a notebook, as a figure."""
