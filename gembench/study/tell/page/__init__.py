"""The page: its opening lines, the gallery of the paper's figures, the studies, and how they become HTML."""
