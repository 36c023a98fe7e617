"""Picking as a study: what is searched with which templates, how picks are judged, what maps show."""
