"""What closed forms say of clusters that are not here, with the constants that they assume."""
