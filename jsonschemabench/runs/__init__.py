"""Runs that are kept in a folder and can be resumed: what ``python -m jsonschemabench run`` does.

=================  ======================================================================
``plan``           what to measure: run files (TOML, YAML), checked
``units``          a plan cut into units of work, and the worker that does them
``executors``      where units are done: processes of this machine, or actors of a Ray cluster
``store``          the folder of a run: manifest and rows, whole after a kill at any moment
``drive``          units through an executor into a folder
``reading``        folders and results files read back, for reports and comparisons
=================  ======================================================================
"""
