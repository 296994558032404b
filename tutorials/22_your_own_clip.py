# %% [markdown]
# # 22. Your own clip
#
# Introduces: `refmer.read_clip`
#
# **After this page** you can bring a sound file and a table of OpenFace to what a trained model reads, say what loudness,
# channels and frame rates do to features, and find out whether a model should be used on a clip at all.
#
# **Time.** 45 minutes to read, 10 seconds to run.
#
# **You need** tutorials 3 and 4: features, a trained recognizer.

# %%
import csv
import tempfile
import wave
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import refmer

temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
rng = np.random.default_rng(0)

# %% [markdown]
# ## Two files
#
# A clip of your own consists of two files: the sound, and the table that OpenFace 2 makes of the video. **To make them**,
# record some seconds as `me.mp4`. Then run OpenFace, and extract the sound:
#
#     FeatureExtraction -f me.mp4 -aus -pose -gaze
#     ffmpeg -i me.mp4 me.wav
#
# So that this page runs without your files, it writes two others first, from one clip of the synthetic corpus. The sound gets
# 44.1 kHz, two channels and 16 bit. The face gets 30 frames a second, as from a camera, in the columns of OpenFace 2. **To use
# your own files**, change the two paths `my_wav` and `my_csv` below.
#
# **Another sampling rate.** The sound of the corpus has 16 kHz, so it has to be brought to 44.1 kHz. A wave of $n$ samples is a
# sum of $n/2$ oscillations, whose sizes are $X = \mathrm{rfft}(x)$. The same oscillations at $m > n$ samples have the same $X$,
# followed by zeros. `irfft` divides by the number of samples, so the result is multiplied by $m / n$.
#
# By hand, $x = (1, 0, -1, 0)$ is one period of a cosine at $n = 4$ samples, with $X = (0, 2, 0)$. At $m = 8$ samples the same
# cosine is $(1, \sqrt{1/2}, 0, -\sqrt{1/2}, -1, \dots)$.


# %%
def resample(x, m):
    """Return the wave x at m samples, m not below its own number."""
    X = np.pad(np.fft.rfft(x), (0, m // 2 - len(x) // 2))
    return np.fft.irfft(X, m) * m / len(x)


np.testing.assert_allclose(resample([1, 0, -1, 0], 8)[:5], [1, 0.5**0.5, 0, -(0.5**0.5), -1], atol=1e-12)


def write_wav(path, x, rate=16000, to=44100, channels=2):
    """Write a wave x of `rate` samples a second as a file of `to` samples a second."""
    y = resample(x, len(x) * to // rate)
    y = np.round(np.clip(y, -1, 1) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(to)
        file.writeframes(np.repeat(y[:, None], channels, axis=1).tobytes())
    return path


# %% [markdown]
# The table of OpenFace has one row per frame of the camera: its number, its time, the confidence of the tracker, and the
# features. Frames in `lost` are written as frames without a face.


# %%
def write_openface(path, units, names, rate=30, lost=()):
    """Write units (T, 49) at 25 Hz as a table of OpenFace, which puts a blank before every name but the first."""
    start = np.arange(int(len(units) / 25 * rate)) / rate  # seconds
    middle = start + 0.5 / rate
    middle_of_units = (np.arange(len(units)) + 0.5) / 25
    rows = np.stack([np.interp(middle, middle_of_units, column) for column in units.T], axis=1)
    header = ["frame", " face_id", " timestamp", " confidence", " success"] + [" " + name for name in names]
    with open(path, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(header)
        for k, row in enumerate(rows):
            confidence, success = (0.1, 0) if k in lost else (0.98, 1)
            table.writerow([k + 1, 0, f"{start[k]:.3f}", confidence, success, *np.round(row, 3)])
    return path


# %% [markdown]
# The clip is one of a speaker whom the model below is not trained on, and both face and voice show happiness. OpenFace is made
# to lose the face in frames 20 to 31 of the camera, for 0.4 s.

# %%
clips = refmer.load_samples()
train, test = clips.split(by="speaker", test_size=0.25, seed=0)
happy = (test.emotion == 3) & (test.truth["shown_voice"] == 3) & (test.truth["shown_face"] == 3)
known = test[int(np.flatnonzero(happy)[0])]

sound = refmer.raw_signals(known.name[0]).wave
sound = sound / np.abs(sound).max()
units = known.streams["units"]
my_wav = write_wav(folder / "me.wav", 0.5 * sound)
my_csv = write_openface(folder / "me.csv", units.x[0, units.mask[0]], units.features, lost=range(20, 32))

# %% [markdown]
# ## What `read_clip` does
#
# **The sound** goes through five steps:
#
# 1. The channels are averaged.
# 2. The wave is brought to 16 kHz, by a filter that first removes what is above 8 kHz.
# 3. What is below 60 Hz is removed. There is no voice there, but there are mains hum and the offset of a microphone.
# 4. The root mean square of the wave is brought to 0.1.
# 5. The log-mel spectrum is computed, with the mel filters $M$ (tutorial 3):
#
# $$\ell_{tm} = \ln \Bigl( \sum_f |X_{tf}|^2 M_{fm} + \epsilon \Bigr).$$
#
# **Why step 4.** A microphone twice as loud doubles $X$. The sum becomes four times as large, and every $\ell_{tm}$ grows by
# $\ln 4 = 1.4$. Many emotions change it by less. The normalised wave is the same for $x$ and for any multiple $ax$ with
# $a > 0$,
#
# $$\frac{0.1\, x}{\sqrt{\frac1n \sum_i x_i^2}} ,$$
#
# so nothing is added. By hand, $x = (3, -3)$ has the root mean square 3, and $2x = (6, -6)$ has 6. Both become $(0.1, -0.1)$.


# %%
def normalized(x):
    return 0.1 * x / np.sqrt((x**2).mean())


np.testing.assert_allclose([normalized(np.array([3, -3])), normalized(np.array([6, -6]))], [[0.1, -0.1], [0.1, -0.1]])

# %% [markdown]
# **The face** is brought from 30 to 25 frames a second. Frame $i$ of the camera has its middle at $\tau_i = (i + \frac12) / 30$
# seconds, frame $t$ of the model at $\tau = (t + \frac12) / 25$. Between two neighbours, $\tau_i \le \tau \le \tau_{i+1}$,
# intensities, pose and gaze are interpolated on a line:
#
# $$u(\tau) = (1 - w)\, u_i + w\, u_{i+1}, \qquad w = \frac{\tau - \tau_i}{\tau_{i+1} - \tau_i} .$$
#
# By hand, frame $t = 1$ of the model is at $1.5 / 25 = 0.06$ s. It lies between frame 1 of the camera, at $1.5 / 30 = 0.05$ s,
# and frame 2. So $w = 0.01 \cdot 30 = 0.3$, and $u = 0.7\, u_1 + 0.3\, u_2$.
#
# Presences are 0 or 1. They are those of the nearest frame.
#
# Where OpenFace has lost the face (`success` is 0, or `confidence` is low), the mask is False. A system then averages over the
# frames with a face, and the numbers that OpenFace wrote for the others are not used.

# %%
np.testing.assert_allclose(np.interp(1.5 / 25, [1.5 / 30, 2.5 / 30], [0, 1]), 0.3)

mine = refmer.read_clip(wav=my_wav, openface_csv=my_csv)
print(mine)

# %%
logmel, face = mine.streams["logmel"], mine.streams["units"]
seconds = len(sound) / 16000
seconds_of_face = (np.arange(face.mask.shape[1]) + 0.5) / 25

fig, (top, middle, bottom) = plt.subplots(3, 1, figsize=(9, 6), layout="constrained", sharex=True)
top.plot(np.arange(len(sound)) / 16000, sound, lw=0.4)
top.set(ylabel="wave", title=f"The clip {known.name[0]}, read from its two files")
middle.imshow(logmel.x[0].T, origin="lower", aspect="auto", extent=(0, seconds, 0, 40))
middle.set(ylabel="mel band")
for name in ("AU06_r", "AU12_r", "AU04_r"):
    intensity = face.x[0, :, face.features.index(name)]
    bottom.plot(seconds_of_face, np.where(face.mask[0], intensity, np.nan), ".-", label=name)
bottom.axvspan(20 / 30, 32 / 30, color="0.85", label="no face found")
bottom.set(xlabel="seconds", ylabel="intensity", ylim=(0, 5))
bottom.legend(ncols=4, loc="upper right")
plt.show()

# %% [markdown]
# The log-mel spectrum from the file is compared with that of the corpus. A second file has a tenth of the loudness, 48 kHz and
# one channel. Both agree with the corpus but for rounding and for the filter at 8 kHz. So the three bands above 7 kHz are left
# out of the comparison.

# %%
quiet_wav = write_wav(folder / "quiet.wav", 0.05 * sound, to=48000, channels=1)
quiet = refmer.read_clip(wav=quiet_wav)
valid = known.streams["logmel"].mask[0]
bundled = known.streams["logmel"].x[0, valid]
# Lesson 1: rate, channels and loudness are gone; what differs from the bundled features is rounding and the last filter.
for clip in (mine, quiet):
    difference = np.abs(clip.streams["logmel"].x[0] - bundled)[:, :37]  # bands below 7 kHz
    print(f"log-mel is off by {np.median(difference):.3f} (median)")
    assert np.median(difference) < 0.15

# %% [markdown]
# Frames 20 to 31 of the camera are the seconds from 0.67 to 1.07, and these are frames 17 to 26 of the model. They are masked.
# The last frames are masked, too, because the camera stopped a moment before the sound.

# %%
# Lesson 2: where there was no face, there is no number. (The camera stopped a moment before the sound: that is masked, too.)
assert not face.mask[0, 17:26].any() and not face.x[0, 17:26].any()
assert face.mask[0, 28:-2].all()

# %% [markdown]
# ## A model for face and voice
#
# OpenFace-Adaptive (tutorial 13) reads words, too. Our clip has none, so the model is trained without that modality.
#
# A model that was trained with words raises an error that names the missing stream. Vectors of words could be given as
# `words=`, but they would have to be those of the corpus's small language.

# %%
config = {"modalities": ("visual", "audio")}
model = refmer.Recognizer("openface_adaptive", config=config, label="emotion", seed=0, epochs=30)
model.fit(train)
print(f"accuracy on clips of other speakers: {model.score(test):.2f}")
from_files, from_corpus = model.predict_proba(mine)[0], model.predict_proba(known)[0]
gates, gates_of_test = model.explain(mine), model.explain(test)

# %% [markdown]
# The left figure compares the probabilities for the clip from its files and from the corpus. The right figure shows the gates
# of face and voice for the clip, among those of all test clips.

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
left.bar(np.arange(6) - 0.2, from_files, 0.4, label="from the files")
left.bar(np.arange(6) + 0.2, from_corpus, 0.4, label="from the corpus")
left.set_xticks(range(6), clips.labels["emotion"].names, rotation=25)
left.set(ylabel="probability", title="Output for one clip (seed 0)")
left.legend()
for k, name in enumerate(("visual", "audio")):
    height = k + rng.uniform(-0.2, 0.2, len(test))
    right.scatter(gates_of_test[f"{name}.gate"][:, 0], height, s=8, color="0.6")
    right.scatter(gates[f"{name}.gate"][0, 0], k, s=80, color=f"C{k}", marker="D")
right.set(xlabel="gate", yticks=(0, 1), yticklabels=("face", "voice"))
right.set_title(f"Gates: this clip (diamond), {len(test)} test clips (dots)")
plt.show()

# Lesson 3: out through files and in again, with 0.4 s of the face lost, and the answer stays.
assert np.abs(from_files - from_corpus).max() < 0.15
assert from_files.argmax() == from_corpus.argmax() == model.predict(known)[0]

# %% [markdown]
# ## Errors for files that cannot be read
#
# `read_clip` guesses nothing. A file that it cannot use raises a `ValueError` that names the file and what is accepted. The
# cell tries five such files. The sixth case is a clip without a face for the model above, which needs one.
#
# A clip with less than a tenth of a second of voice is not an error. (Voice is where the sound has a pitch that holds.) It is
# read with a warning, because a whisper is speech, too.


# %%
def message(function, *args, **options):
    """Return the text of the ValueError that a call raises, None if it raises none."""
    try:
        function(*args, **options)
    except ValueError as error:
        return str(error)
    return None


names, face_frames = units.features, units.x[0]
short_wav = write_wav(folder / "short.wav", sound[:1600])
silent_wav = write_wav(folder / "silent.wav", 0 * sound)
other_csv = write_openface(folder / "other.csv", face_frames, ["unknown"] * 49)
dark_csv = write_openface(folder / "dark.csv", face_frames, names, lost=range(999))

messages = {
    "too short": message(refmer.read_clip, wav=short_wav),
    "no sound": message(refmer.read_clip, wav=silent_wav),
    "no wav file": message(refmer.read_clip, wav=my_csv),
    "another table": message(refmer.read_clip, openface_csv=other_csv),
    "no face at all": message(refmer.read_clip, openface_csv=dark_csv),
    "no face for the model": message(model.predict, refmer.read_clip(wav=my_wav)),
}
for case, text in messages.items():
    print(f"{case}: {text}")

# Lesson 4: six ways to be wrong, six messages, no silent NaN.
assert len(messages) == 6 and None not in messages.values()

# %% [markdown]
# ## Is the clip like the training clips?
#
# A network returns probabilities for every input, also for one unlike all that it was trained on. So the input has to be
# examined by itself.
#
# Let $\bar x_c$ be the mean of feature $c$ over the frames of a clip. Let $\mu_c$ and $s_c$ be the mean and the standard
# deviation of $\bar x_c$ over the training clips. The distance $d$ of a clip is the root mean square of its $C$ standardised
# features:
#
# $$z_c = \frac{\bar x_c - \mu_c}{s_c}, \qquad d = \sqrt{\tfrac1C \sum_c z_c^2} .$$
#
# The mean of $z_c^2$ over the training clips is 1, so $d$ is about 1 for clips like those.
#
# By hand, two features with $\mu = (2, 0)$ and $s = (1, 2)$: a clip with $\bar x = (5, 2)$ has $z = (3, 1)$, so
# $d = \sqrt{(9 + 1) / 2} = 2.2$.

# %%
z = (np.array([5, 2]) - [2, 0]) / [1, 2]
assert z.tolist() == [3, 1] and round(np.sqrt((z**2).mean()), 1) == 2.2


# %%
def clip_means(clips, name):
    """Return the mean of each feature over the valid frames of each clip.   (clips, features)"""
    stream = clips.streams[name]
    return np.stack([x[mask].mean(0) for x, mask in zip(stream.x, stream.mask, strict=True)])


def standardized(clips, name):
    of_training = clip_means(train, name)
    return (clip_means(clips, name) - of_training.mean(0)) / of_training.std(0)


def distance(clips, name):
    return np.sqrt((standardized(clips, name) ** 2).mean(-1))


# %% [markdown]
# The distance is computed for the clips of the other speakers, for our clip, and for the same clip as through a telephone,
# which transmits 300 to 3400 Hz.

# %%
spectrum = np.fft.rfft(sound)
frequency = np.fft.rfftfreq(len(sound), 1 / 16000)
spectrum[(frequency < 300) | (frequency > 3400)] *= 0.01
phone_sound = np.fft.irfft(spectrum, len(sound))
phone_wav = write_wav(folder / "phone.wav", 0.5 * phone_sound)
phone = refmer.read_clip(wav=phone_wav, openface_csv=my_csv)

low, high = np.quantile(distance(test, "mfcc"), (0.05, 0.95))
d, d_phone = distance(mine, "mfcc")[0], distance(phone, "mfcc")[0]
print(f"distance: other speakers {low:.1f} to {high:.1f}, the clip {d:.1f}, by telephone {d_phone:.1f}")
from_phone = model.predict_proba(phone)[0]
print(f"largest probability: the clip {from_files.max():.2f}, by telephone {from_phone.max():.2f}")

# Lesson 5: through a telephone, a clip is further away than nearly all clips of new speakers. The probabilities do not show it.
assert d_phone > 1.3 * high and d_phone > 1.5 * d
assert from_phone.max() > 0.8

# %% [markdown]
# The clip by telephone is further away than nearly all clips of new speakers. But the model gives it almost the same large
# probability as before. A probability does not show that a clip is unlike the training clips; the distance does.
#
# Your own voice and face will be further away still. This model was trained on computer-made voices and drawn faces: **its
# output for you has no meaning**. A real model, trained on recordings of real people, would need their consent and yours.
#
# This page has followed the numbers of a clip all the way from the microphone to the gate. The same path is open for your
# files.
#
# ## On your own
#
# 1. Read your own files. Which $z_c$ is largest? (The first number of `mfcc` is loudness, the next is tilt.) And by telephone?
# 2. Move your sound by half a second against the face. Does the output of this model change? Which other systems of
#    tutorials 13 to 20 read the order of frames, so that their output could change?
# 3. Why is $d$ of `mine` the same for `0.5 * sound` and `0.05 * sound`, but not if you turn the volume while you speak?

# %% tags=["hide-cell"]
# Solution 1: of the telephone, coefficients of the shape of the spectrum, whose both ends are gone.
z = standardized(phone, "mfcc")[0]
print("largest |z|:", mine.streams["mfcc"].features[np.abs(z).argmax()], f"{np.abs(z).max():.1f}")

# Solution 2: hardly: it reads the mean of each stream over time. AuxFormer, TLAB-JCA and RAVER read sequences.
late = refmer.corrupt(known, "voice", "shift", 0.2)
assert np.abs(model.predict_proba(late) - model.predict_proba(known)).max() < 0.2

# Solution 3: one gain for the whole wave is divided out; one that changes remains: loudness in time is expression.
temporary.cleanup()
