"""Coverage-guided fuzzing of the engine with libFuzzer, through cargo-fuzz: docs/how-to/fuzz-the-engine.md.

python -m tools.fuzz run read --seconds 60     the reader on any bytes
python -m tools.fuzz run run --seconds 60      load and run
python -m tools.fuzz replay run FILE ...       the same on given inputs
python -m tools.fuzz minimize run              keep of the corpus in the repository what reaches new code
python -m tools.fuzz seeds FOLDER              models to begin a corpus with: every operator, every hostile input
"""
