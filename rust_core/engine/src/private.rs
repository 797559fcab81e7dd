//! Operators that stand only in graphs which ONNX Runtime saved after it had optimized them for one machine.

/// Domains of layouts that ONNX Runtime chooses for a processor.
const DOMAINS: &[&str] = &["com.microsoft.nchwc", "com.ms.internal.nhwc"];

/// Operators of com.microsoft of that kind.
const OPERATORS: &[&str] = &["FusedConv", "FusedGemm", "NhwcConv", "NhwcFusedConv", "NhwcMaxPool"];

/// Why an operator is refused, if it is one of them, and what to do.
pub fn refusal(domain: &str, op_type: &str) -> Option<String> {
    let private = DOMAINS.contains(&domain) || (domain == "com.microsoft" && OPERATORS.contains(&op_type));
    private.then(|| {
        format!(
            "operator {domain}.{op_type} comes from ONNX Runtime's optimizer: it is private to graphs that ONNX Runtime saved after \
             it had fused them or changed their layout for one machine. Load the original model, or save it with a lower \
             graph_optimization_level (ORT_ENABLE_BASIC)"
        )
    })
}
