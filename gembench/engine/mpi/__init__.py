"""Searches over many ranks: how they are launched, what each is given, how their maps become one."""
