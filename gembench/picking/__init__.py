"""Picking particles from files: settings, what is done to a micrograph, the loop, folders of picks, ranks.

`run.pick_folder` does it all; `picker.Picker` is the loop alone, without a folder.
"""
