"""The claims of the five papers, line by line. A claim takes several lines where its parts differ in direction or margin."""

from refmer.experiments import claims_000_001, claims_002, claims_003_004

CLAIMS = (
    *claims_000_001.OPENFACE,
    *claims_000_001.CMAER,
    *claims_002.AUXFORMER,
    *claims_003_004.TLAB,
    *claims_003_004.RAVER,
    *claims_003_004.ALL,
)
