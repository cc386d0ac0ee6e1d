"""What the flight use cases share: the source of New York's flights of 2013 and the features computed from it."""
