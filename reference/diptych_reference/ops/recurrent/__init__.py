"""RNN, GRU and LSTM: sequences, step by step (docs/numerics.md, section 4). They differ in their cells alone."""

from diptych_reference.ops.recurrent import gru, lstm, quantized_lstm, rnn

__all__ = ["gru", "lstm", "quantized_lstm", "rnn"]
