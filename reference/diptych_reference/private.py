"""Operators that stand only in graphs which ONNX Runtime saved after it had optimized them for one machine."""

DOMAINS = {"com.microsoft.nchwc", "com.ms.internal.nhwc"}  # layouts that ONNX Runtime chooses for a processor
OPERATORS = {"FusedConv", "FusedGemm", "NhwcConv", "NhwcFusedConv", "NhwcMaxPool"}  # of com.microsoft


def refusal(domain: str, op_type: str) -> str | None:
    """Why an operator is refused, if it is one of them, and what to do."""
    if domain not in DOMAINS and not (domain == "com.microsoft" and op_type in OPERATORS):
        return None
    return (
        f"operator {domain}.{op_type} comes from ONNX Runtime's optimizer: it is private to graphs that ONNX Runtime"
        " saved after it had fused them or changed their layout for one machine. Load the original model, or save it"
        " with a lower graph_optimization_level (ORT_ENABLE_BASIC)"
    )
