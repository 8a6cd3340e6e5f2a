"""What takes the place of the example in the project whose image is built."""
