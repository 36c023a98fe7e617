"""Tuning: which options of picking are best, judged on the user's own annotated micrographs.

A low-pass filter, edges and an angle step are searched once each, low; border, distance and threshold are
judged from the stored picks, by halves of the micrographs. With the best, decoys and what surrounds a pick.
"""
