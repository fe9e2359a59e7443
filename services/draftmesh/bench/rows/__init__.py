"""What verifying costs by its number of rows, with packed weights and without."""
