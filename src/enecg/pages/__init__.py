"""One page that a browser opens: answers with their ECGs, or an evaluation with its curves. No numbers of its own.

Everything is in the one file: no script, nothing that is fetched. The same input makes the same bytes.
Imports evaluation, paper and report; imported by cli.
"""

from enecg.pages._document import ENDINGS, check_name, write_page
from enecg.pages._evaluation import evaluation_page
from enecg.pages._html import Html
from enecg.pages._predictions import MOST, Shown, predictions_page

__all__ = ["ENDINGS", "MOST", "Html", "Shown", "check_name", "evaluation_page", "predictions_page", "write_page"]
