"""`python -m tests.museum` writes the page of the museum, in Markdown, to the standard output."""

import sys

from .page import museum_markdown

sys.stdout.buffer.write(museum_markdown().encode("utf-8"))
