"""What an operator is, and what a model does: the data behind `diptych explain` and the operator pages of the docs.

    from diptych.explain import explain_operator, explain_model

    page = explain_operator("Conv")
    page.example.outputs[0].shown, page.meter[0].worst

Needs the extra `diptych[lab]`. Rust, rounding programs and conformance counts come from a checkout of the
repository: where Diptych was installed without it, a page says so in their place.
"""

from diptych.explain.model import ModelPage, explain_model
from diptych.explain.operator import OperatorPage, explain_operator

__all__ = ["ModelPage", "OperatorPage", "explain_model", "explain_operator"]
