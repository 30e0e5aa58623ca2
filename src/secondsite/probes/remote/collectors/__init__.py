"""What runs on a host when it is checked: each module fills sections of one JSON answer. Standard library only.

``probes/collecting.py`` sends these files in one go, nothing is left on the host. A section that can't be filled says
why, and every check that reads it is then unknown. To add one: a function in a module here, named in its ``SECTIONS``.
"""
