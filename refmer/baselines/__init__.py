"""What the papers compare with, one file each, with the interface of refmer.systems."""

_NAMES = (
    "concatenation late_fusion tfn lmf lf_rnn mult auxformer_baseline1 parthasarathy unimodal jca leader_follower sfav vavl"
    " transformer_lstm"
).split()
BASELINES = {name: f"refmer.baselines.{name}" for name in _NAMES}
