"""Starts the stand-in; called as ComfyUI's own main.py is, with the same flags."""

import runpy

if __name__ == "__main__":
    runpy.run_module("standin", run_name="__main__")
