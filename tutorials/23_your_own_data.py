# %% [markdown]
# # 23. Your own data
#
# Introduces: `refmer.Label` `refmer.read_table` `refmer.Stream`
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
# So that this page runs without you, it first writes what a student may have: one file per clip and kind of feature, an array
# of frames by features, and a table with a row per clip. The features come from the synthetic corpus under other names. **With
# your own files**, start at the next section.

# %%
samples = refmer.load_samples()
files = {"vgg": samples.streams["units"], "egemaps": samples.streams["prosody"], "glove": samples.streams["words"]}
with open(folder / "clips.csv", "w", newline="") as f:
    table = csv.writer(f)
    table.writerow(["name", "speaker", "emotion", *files])
    for i, name in enumerate(samples.name):
        emotion = samples.labels["emotion"].names[samples.emotion[i]]
        table.writerow([name, samples.speaker[i], emotion, *(f"{kind}/{name}.npy" for kind in files)])
for kind, stream in files.items():
    (folder / kind).mkdir()
    for name, x, mask in zip(samples.name, stream.x, stream.mask, strict=True):
        np.save(folder / kind / f"{name}.npy", x[mask])
print((folder / "clips.csv").read_text()[:120])

# %% [markdown]
# ## Reading it
#
# A column whose entries are files is a **stream**: frames over time, at a rate, of one sense. A sense is any word. Every other
# column is a **label**, except `name` and `speaker`. Text makes classes, numbers with decimals make a regression; `labels=`
# chooses another kind, for example an ordinal scale or the votes of raters.

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
# The same from arrays that you have in memory. A list of arrays of different lengths becomes a stream; an array of one vector
# per clip becomes a stream of one frame.

# %%
lists = {kind: [x[mask] for x, mask in zip(s.x, s.mask, strict=True)] for kind, s in files.items()}
by_hand = refmer.Clips(
    {
        "vgg": refmer.Stream(lists["vgg"], rate=25, sense="face"),
        "egemaps": refmer.Stream(lists["egemaps"], rate=50, sense="voice"),
        "glove": refmer.Stream(lists["glove"], rate=2.5, sense="words"),
    },
    speaker=samples.speaker,
    labels={"emotion": samples.emotion, "tone": refmer.Label(samples.sentiment, "ordinal")},
)
assert (by_hand.streams["vgg"].x == clips.streams["vgg"].x).all()

# %% [markdown]
# ## A system that reads it
#
# A system has modalities: visual, audio, text. `streams` says which stream is which, several of one modality as a list. Widths,
# classes and encoders follow from the clips. Without `streams` the one stream of each sense is taken; here that would do.

# %%
READ = {"visual": "vgg", "audio": "egemaps", "text": "glove"}
gated = refmer.Recognizer("openface_adaptive", streams=READ, label="emotion")
train, test = clips.split(by="speaker", test_size=0.25, seed=0)
gated.fit(train)
print(f"accuracy on new speakers: {gated.score(test):.2f}")
broken = refmer.corrupt(test, "face", "missing", 1.0)
print(f"without the face:         {gated.score(broken):.2f}")

# Lesson 2: it is the same recognizer as before; corruptions, gates and INT8 work on your data too.
assert set(gated.explain(test[:1])) >= {"visual.gate", "audio.gate"}

# %% [markdown]
# ## Folds by group
#
# Two clips of one person resemble each other, so a person must not be in training and test. `GroupKFold` keeps groups apart;
# a group may also be a film, a dialogue or a laboratory. Let $s_1 \dots s_F$ be the scores of $F$ folds. The bar below is
#
# $$\bar s \pm \frac{1}{\sqrt F} \sqrt{\tfrac{1}{F-1} \textstyle\sum_i (s_i - \bar s)^2},$$
#
# mean and standard error. It is too short, since folds share training clips (tutorial 21), but it shows what a single number
# hides.
#
# The **reference** is a linear model on the mean and the standard deviation of each feature of the same streams. Its penalty is
# chosen inside the training clips. A network that is not above it has not learned what it was made for.


# %%
def moments(clips):
    """Return the mean and standard deviation of each feature of each clip.   (N, 2 D)"""
    rows = []
    for i in range(len(clips)):
        frames = [s.x[i, s.mask[i]] for s in clips.streams.values()]
        rows.append(np.concatenate([statistic for x in frames for statistic in (x.mean(0), x.std(0))]))
    return np.array(rows)


folds = GroupKFold(4)
linear = make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(0, 4, 9)))
scores = {"linear": cross_val_score(linear, moments(clips), clips.emotion, groups=clips.speaker, cv=folds)}
for name in ("openface_adaptive", "concatenation", "lf_rnn", "transformer_lstm"):
    model = refmer.Recognizer(name, label="emotion", streams=READ)
    scores[name] = cross_val_score(model, clips, groups=clips.speaker, cv=folds)

for name, s in scores.items():
    difference = s - scores["linear"]
    error = difference.std(ddof=1) / 2
    print(f"{name:18} {s.mean():.3f} ± {s.std(ddof=1) / 2:.3f}   minus linear {difference.mean():+.3f} ± {error:.3f}")

# Lesson 3: pairs of scores on the same folds are compared by their differences, whose error is smaller or larger than either's.
assert all(len(s) == 4 for s in scores.values())

# %%
fig, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for i, (name, s) in enumerate(scores.items()):
    ax.plot(s, np.full(4, i), ".", color="0.6")
    ax.errorbar(s.mean(), i, xerr=s.std(ddof=1) / 2, fmt="o", color=f"C{int(name != 'linear')}", capsize=3)
ax.axvline(np.bincount(clips.emotion).max() / len(clips), color="k", ls=":", label="always the most frequent class")
ax.set(yticks=range(len(scores)), yticklabels=scores)
ax.set_xlabel("accuracy; dots: 4 folds by speaker, circle: mean and standard error")
ax.invert_yaxis()
ax.legend(loc="center left", bbox_to_anchor=(0.02, 0.5))
plt.show()

# Lesson 4: everything is above the constant answer; whether a network is above the linear model is a question for the data.
constant = np.bincount(clips.emotion).max() / len(clips)
assert scores["linear"].mean() > constant and scores["openface_adaptive"].mean() > constant

# %% [markdown]
# ## On your own
#
# 1. What happens to the scores of all rows if you give `cv=KFold(4, shuffle=True)` without groups? Why is it worst for the row
#    with the most parameters?
# 2. Make a label over time: `refmer.Label(values, rate=1.0)` with one value per second, and learn it with `lf_rnn` and
#    `tlab_jca`. What do their predictions have the shape of?
# 3. From the command line, `refmer inspect table:clips.csv` and `refmer compare --data table:clips.csv --label emotion` do all
#    of this. What do the tables say about their data?

# %% tags=["hide-cell"]
# Solution 1: they rise, most for the largest models: people are recognised by who they are, and a person in the test clips is
# in the training clips too. On these few clips the difference for the linear model can have either sign.
mixed = cross_val_score(linear, moments(clips), clips.emotion, cv=KFold(4, shuffle=True, random_state=0))
assert len(mixed) == len(scores["linear"])

# Solution 2: (N, S), a value for each of the S seconds. `lf_rnn` reads a window for each of them, `tlab_jca` all at once.
valence = refmer.Label(np.zeros((len(clips), 2)), kind="regression", rate=1.0)
assert valence.over_time

# Solution 3: the file that the clips come from; the word "synthetic" is gone.
assert "synthetic" not in clips.source
