"""The synthetic corpus: signals and labels of clips and recordings, generated from a seed and a name.

synthesize is the public interface, signals makes one clip or recording, voice, face and words make its streams, and raters
draws the emotions that voice and face show and the votes for them.
"""
