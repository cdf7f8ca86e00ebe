"""Shells: what stands between an accelerator and the outside of the device."""
