# %% [markdown]
# # 23. Your own data
#
# Introduces: `refmer.Label`, `refmer.read_table`, `refmer.Stream`
#
# **After this page** you can go from a folder of feature files to a table of scores by group, with error bars and beside a
# linear model on the same features, and say which stream is which modality for any system.
#
# **Time.** 45 minutes to read, 15 seconds to run.
#
# **You need** tutorials 3, 4 and 21: streams, a trained recognizer, error bars.

# %%
import csv
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import RidgeClassifierCV
from sklearn.model_selection import GroupKFold, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import refmer

temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)

# %% [markdown]
# ## A folder of features
#
# A corpus of your own may consist of one file per clip and kind of feature, each with an array of frames by features, and of a
# table with a row per clip.
#
# So that this page runs without your files, it first writes such a folder from the synthetic corpus, under other names: `vgg`
# for features of the face, `egemaps` for the voice, `glove` for the words. **With your own files**, start at the next section.

# %%
samples = refmer.load_samples()
source_of_kind = {"vgg": samples.streams["units"], "egemaps": samples.streams["prosody"], "glove": samples.streams["words"]}
for kind, stream in source_of_kind.items():
    (folder / kind).mkdir()
    for name, x, mask in zip(samples.name, stream.x, stream.mask, strict=True):
        np.save(folder / kind / f"{name}.npy", x[mask])

emotions = samples.labels["emotion"].names
with open(folder / "clips.csv", "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["name", "speaker", "emotion", *source_of_kind])
    for name, speaker, emotion in zip(samples.name, samples.speaker, samples.emotion, strict=True):
        paths = [f"{kind}/{name}.npy" for kind in source_of_kind]
        table.writerow([name, speaker, emotions[emotion], *paths])
print((folder / "clips.csv").read_text()[:120])

# %% [markdown]
# ## Reading the table
#
# `read_table` reads the table and the files that it names.
#
# **Streams.** A column whose entries are files is a *stream*: frames over time, at a rate. `rates=` gives the frames per
# second. `senses=` gives the modality that the stream is recorded from, as a word: "face", "voice", "words", or any other.
# Corruptions refer to streams by this word.
#
# **Labels.** Every other column is a *label*, except `name` and `speaker`. Text makes classes. Numbers with decimals make a
# regression. `labels=` chooses another kind, for example an ordinal scale or the votes of raters.

# %%
clips = refmer.read_table(
    folder / "clips.csv",
    rates={"vgg": 25, "egemaps": 50, "glove": 2.5},
    senses={"vgg": "face", "egemaps": "voice", "glove": "words"},
)
print(clips.summary())

# Lesson 1: clips of different lengths, widths and rates need no padding and no reshaping.
assert len({int(n) for n in clips.streams["vgg"].mask.sum(1)}) > 20
assert len({stream.x.shape[-1] for stream in clips.streams.values()}) == 3

# %% [markdown]
# ## Clips from arrays
#
# The same clips can be made from arrays in memory. A list of arrays of different lengths becomes a stream. An array of one
# vector per clip becomes a stream of one frame.

# %%
arrays = {kind: [] for kind in source_of_kind}
for kind, stream in source_of_kind.items():
    for x, mask in zip(stream.x, stream.mask, strict=True):
        arrays[kind].append(x[mask])

from_arrays = refmer.Clips(
    {
        "vgg": refmer.Stream(arrays["vgg"], rate=25, sense="face"),
        "egemaps": refmer.Stream(arrays["egemaps"], rate=50, sense="voice"),
        "glove": refmer.Stream(arrays["glove"], rate=2.5, sense="words"),
    },
    speaker=samples.speaker,
    labels={"emotion": samples.emotion, "tone": refmer.Label(samples.sentiment, "ordinal")},
)
assert (from_arrays.streams["vgg"].x == clips.streams["vgg"].x).all()

# %% [markdown]
# ## The streams of a system
#
# A system has modalities with names of its own: visual, audio, text. `streams=` assigns a stream to each of them, or a list of
# streams to one. Widths, classes and encoders follow from the clips.
#
# Without `streams=`, refmer takes the one stream that is recorded from the face, from the voice, and from the words. That would
# do for the clips of this page.

# %%
STREAMS = {"visual": "vgg", "audio": "egemaps", "text": "glove"}
gated = refmer.Recognizer("openface_adaptive", streams=STREAMS, label="emotion")
train, test = clips.split(by="speaker", test_size=0.25, seed=0)
gated.fit(train)
without_face = refmer.corrupt(test, "face", "missing", 1.0)
print(f"accuracy on new speakers: {gated.score(test):.2f}")
print(f"without the face:         {gated.score(without_face):.2f}")

# Lesson 2: it is the same recognizer as before; corruptions, gates and INT8 work on your data too.
assert set(gated.explain(test[:1])) >= {"visual.gate", "audio.gate"}

# %% [markdown]
# ## Folds by group
#
# Two clips of one person resemble each other, so the same person must not be in training and test. `GroupKFold` keeps *groups*
# apart. Here a group is a speaker. It may also be a film, a dialogue or a laboratory.
#
# **The error bar.** Let $s_1, \dots, s_F$ be the scores of $F$ folds and $\bar s$ their mean. The table and the figure below
# show mean and standard error:
#
# $$\bar s \pm \frac{1}{\sqrt F} \sqrt{\tfrac{1}{F-1} \textstyle\sum_i (s_i - \bar s)^2} .$$
#
# By hand, four folds with the scores 0.6, 0.8, 0.6 and 0.8: the mean is 0.7, and each score is 0.1 from it. The standard
# deviation is $\sqrt{0.04 / 3} = 0.115$, and the standard error is $0.115 / 2 = 0.058$.
#
# This bar is too short, since folds share training clips (tutorial 21). Still, it shows that another split would have given
# another score, which a single number hides.
#
# **Differences.** Two models are compared on the same folds. So the error bar of their difference comes from the four
# differences and not from the two bars.
#
# By hand, let another model have 0.62, 0.82, 0.62 and 0.82. Its error bar is 0.058, too. But it is better by 0.02 on every
# fold, and the standard error of the difference is 0. If it had 0.82, 0.62, 0.82 and 0.62, the differences would be 0.22 and
# $-0.18$ in turn. Their mean is 0.02 again, and its standard error is 0.115: larger than either bar.


# %%
def standard_error(scores):
    return np.std(scores, ddof=1) / np.sqrt(len(scores))


first = np.array([0.6, 0.8, 0.6, 0.8])
second, third = np.array([0.62, 0.82, 0.62, 0.82]), np.array([0.82, 0.62, 0.82, 0.62])
np.testing.assert_allclose([standard_error(first), standard_error(second)], 0.058, atol=0.0005)
np.testing.assert_allclose([standard_error(second - first), standard_error(third - first)], [0, 0.115], atol=0.0005)

# %% [markdown]
# ## A linear model as the reference
#
# The *reference* is a linear model. It reads the mean and the standard deviation of each feature over time, from the same
# streams. The weight of its penalty is chosen inside the training clips.
#
# A network is made to find more than such a model can. If it is not above the reference, it has not found more.


# %%
def means_and_deviations(clips):
    """Return the mean and the standard deviation of each feature of each clip.   (N, 2 D)"""
    rows = []
    for i in range(len(clips)):
        row = []
        for stream in clips.streams.values():
            frames = stream.x[i, stream.mask[i]]
            row += [frames.mean(0), frames.std(0)]
        rows.append(np.concatenate(row))
    return np.array(rows)


folds = GroupKFold(4)
groups = clips.speaker
linear = make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(0, 4, 9)))
scores = {"linear": cross_val_score(linear, means_and_deviations(clips), clips.emotion, groups=groups, cv=folds)}
for name in ("openface_adaptive", "concatenation", "lf_rnn", "transformer_lstm"):
    model = refmer.Recognizer(name, label="emotion", streams=STREAMS)
    scores[name] = cross_val_score(model, clips, groups=groups, cv=folds)

for name, s in scores.items():
    difference = s - scores["linear"]
    score = f"{s.mean():.3f} ± {standard_error(s):.3f}"
    print(f"{name:18} {score}   minus linear {difference.mean():+.3f} ± {standard_error(difference):.3f}")

# Lesson 3: pairs of scores on the same folds are compared by their differences, whose error is smaller or larger than either's.
assert all(len(s) == 4 for s in scores.values())

# %% [markdown]
# The figure shows the scores of the folds. The dotted line is the accuracy of a constant answer, the most frequent class.

# %%
constant = np.bincount(clips.emotion).max() / len(clips)

fig, ax = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
for row, (name, s) in enumerate(scores.items()):
    colour = "C0" if name == "linear" else "C1"
    ax.plot(s, np.full(4, row), ".", color="0.6")
    ax.errorbar(s.mean(), row, xerr=standard_error(s), fmt="o", color=colour, capsize=3)
ax.axvline(constant, color="k", ls=":", label="always the most frequent class")
ax.set(yticks=range(len(scores)), yticklabels=scores)
ax.set_xlabel("accuracy; dots: folds, circle: mean and standard error")
ax.set_title(f"Emotion, {len(clips)} clips in 4 folds by speaker, seed 0 for the networks")
ax.invert_yaxis()
ax.legend(loc="center left", bbox_to_anchor=(0.02, 0.5))
plt.show()

# %% [markdown]
# All models are above the constant answer. Whether a network is above the linear model depends on the data. In our run no
# network was, beyond its error bar.

# %%
# Lesson 4: everything is above the constant answer; whether a network is above the linear model is a question for the data.
assert scores["linear"].mean() > constant and scores["openface_adaptive"].mean() > constant

# %% [markdown]
# ## On your own
#
# 1. What happens to the scores of all rows if you give `cv=KFold(4, shuffle=True)` without groups? Why is it worst for the row
#    with the most parameters?
# 2. Make a label over time: `refmer.Label(values, rate=1.0)` with one value per second, and learn it with `lf_rnn` and
#    `tlab_jca`. Which shape do their predictions have?
# 3. From the command line, `refmer inspect table:clips.csv` and `refmer compare --data table:clips.csv --label emotion` do all
#    of this. What do the tables say about their data?

# %% tags=["hide-cell"]
# Solution 1: they rise, most for the largest models: people are recognised by who they are, and a person in the test clips is
# in the training clips too. On these few clips the difference for the linear model can have either sign.
mixed_folds = KFold(4, shuffle=True, random_state=0)
mixed = cross_val_score(linear, means_and_deviations(clips), clips.emotion, cv=mixed_folds)
assert len(mixed) == len(scores["linear"])

# Solution 2: (N, S), a value for each of the S seconds. `lf_rnn` reads a window for each of them, `tlab_jca` all at once.
valence = refmer.Label(np.zeros((len(clips), 2)), kind="regression", rate=1.0)
assert valence.over_time

# Solution 3: the file that the clips come from; the word "synthetic" is gone.
assert "synthetic" not in clips.source
