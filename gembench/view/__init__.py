"""A page of picks: micrographs, a threshold to slide, marks to set, in one file that needs no network."""
