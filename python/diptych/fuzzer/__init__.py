"""Finds what engines do wrong: valid cases, any engines, one report. See `diptych fuzz --help`.

from diptych.fuzzer import Campaign, Settings

campaign = Campaign(["onnxruntime"], Settings(seconds=60))
for finding in campaign.run():
    print(finding)
"""

from diptych.fuzzer.campaign import Campaign, Settings
from diptych.fuzzer.corpus import Corpus
from diptych.fuzzer.finding import Finding, Signature

__all__ = ["Campaign", "Corpus", "Finding", "Settings", "Signature"]
