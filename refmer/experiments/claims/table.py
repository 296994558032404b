"""The claims of the five papers, line by line. A claim takes several lines where its parts differ in direction or margin."""

from refmer.experiments.claims import table_000_001, table_002, table_003_004

CLAIMS = (
    *table_000_001.OPENFACE,
    *table_000_001.CMAER,
    *table_002.AUXFORMER,
    *table_003_004.TLAB,
    *table_003_004.RAVER,
    *table_003_004.ALL,
)
