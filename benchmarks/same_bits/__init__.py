"""Two work trees train the same jobs; every loss and every model must be equal to the bit."""
