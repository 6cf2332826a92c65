"""Reports of runs beyond the terminal: a self-contained HTML page, Markdown, CSV.

=============  ==========================================================================
``sections``   the tables of a part of a run, for all of them
``charts``     plots as inline SVG, in the colours of the page
``page``       the HTML page
``export``     Markdown, and rows as CSV
=============  ==========================================================================
"""
