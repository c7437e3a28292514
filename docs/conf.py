"""How Sphinx builds the site: `make docs`, then open build/docs/index.html.

The built pages ask no other host for anything, so that they open from disk on a machine without a network.
"""

import sys
from pathlib import Path

from drsn_edge import __version__

sys.path.insert(0, str(Path(__file__).parent))

project = "drsn-edge"
author = "the drsn-edge developers"
copyright = author
version = release = __version__

extensions = ["myst_parser", "sphinx_click", "sphinx_copybutton", "click_pages"]
exclude_patterns = ["results"]
nitpicky = True
# Help texts name options: `--json` keeps its two hyphens, and what stands in backticks is code.
smartquotes = False
default_role = "code"
suppress_warnings = ["epub.unknown_project_files"]

myst_enable_extensions = ["attrs_block", "colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 4
# A page is read from disk and on a phone: numbers, pictures and commands, no formulas that need a script to draw them.
myst_links_external_new_tab = False

# What a reader copies from a block of commands is the commands, without the prompt and without their output.
copybutton_prompt_text = "$ "
copybutton_line_continuation_character = "\\"

html_theme = "furo"
html_title = "drsn-edge"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_show_sphinx = False
# Summaries of search results are fetched by a script, which browsers refuse to pages from disk.
html_show_search_summary = False
html_theme_options = {"navigation_with_keys": True}
