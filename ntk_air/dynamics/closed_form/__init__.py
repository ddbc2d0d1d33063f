"""Runs in closed form, in the eigenbasis of the kernel."""
