"""The synthetic corpus: voice, face, words and body of clips and recordings, drawn from a seed."""
