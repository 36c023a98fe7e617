"""Picking particles from files: settings, what is done to a micrograph, folders of picks, ranks."""
