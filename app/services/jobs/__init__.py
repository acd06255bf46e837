"""Jobs: submitted, found, changed, ordered, told of."""
