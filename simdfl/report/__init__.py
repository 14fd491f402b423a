"""From a run or sweep folder to one self-contained page: ``python -m simdfl.report FOLDER``."""
