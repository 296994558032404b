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
# So that this page runs without you, it writes a stranger's files first: the sound of one synthetic clip at 44.1 kHz, stereo,
# 16 bit, and its face as a camera of 30 frames a second and OpenFace 2 would give it. **To use your own**, record some seconds,
# run `FeatureExtraction -f me.mp4 -aus -pose -gaze`, extract the sound (`ffmpeg -i me.mp4 me.wav`), and change two paths.
#
# Sound at another rate: a wave of $n$ samples is a sum of $n/2$ oscillations, $X = \mathrm{rfft}(x)$. The same oscillations at
# $m > n$ samples are the same $X$ with zeros above, times $m/n$, because `irfft` divides by the number of samples.


# %%
def write_wav(path, x, rate=16000, to=44100, channels=2):
    m = len(x) * to // rate
    y = np.fft.irfft(np.pad(np.fft.rfft(x), (0, m // 2 - len(x) // 2)), m) * m / len(x)
    y = np.round(np.clip(y, -1, 1) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as f:
        f.setnchannels(channels)
        f.setsampwidth(2)
        f.setframerate(to)
        f.writeframes(np.repeat(y[:, None], channels, axis=1).tobytes())
    return path


def write_openface(path, units, names, rate=30, lost=()):
    """units (T, 49) at 25 Hz; OpenFace puts a blank before every name but the first."""
    t = np.arange(int(len(units) / 25 * rate)) / rate
    x = np.stack([np.interp(t + 0.5 / rate, (np.arange(len(units)) + 0.5) / 25, column) for column in units.T], axis=1)
    with open(path, "w", newline="") as f:
        out = csv.writer(f)
        out.writerow(["frame", " face_id", " timestamp", " confidence", " success", *(" " + name for name in names)])
        for k, row in enumerate(x):
            out.writerow([k + 1, 0, f"{t[k]:.3f}", 0.1 if k in lost else 0.98, int(k not in lost), *np.round(row, 3)])
    return path


clips = refmer.load_samples()
train, test = clips.split(by="speaker", test_size=0.25, seed=0)
chosen = np.flatnonzero((test.emotion == 3) & (test.truth["shown_voice"] == 3) & (test.truth["shown_face"] == 3))[0]
known = test[int(chosen)]  # somebody happy, and one whom the model will not have heard
sound, units = refmer.raw_signals(known.name[0]).wave, known.streams["units"]
sound = sound / np.abs(sound).max()
my_wav = write_wav(folder / "me.wav", 0.5 * sound)
my_csv = write_openface(folder / "me.csv", units.x[0, units.mask[0]], units.features, lost=range(20, 32))

# %% [markdown]
# ## What `read_clip` does
#
# *Sound.* Channels are averaged. The wave comes to 16 kHz by a filter that first removes what is above 8 kHz; what is below
# 60 Hz, where no voice is but mains hum and a microphone's offset, goes too. Its root mean square is brought to 0.1, and only
# then comes the log-mel spectrum, with $M$ the mel filters (tutorial 3):
#
# $$\ell_{tm} = \ln \Bigl( \sum_f |X_{tf}|^2 M_{fm} + \epsilon \Bigr).$$
#
# A microphone twice as loud would add $\ln 4$ to every $\ell_{tm}$: more than many an emotion does. The normalised wave
# $0.1\, x / \sqrt{\frac1n \sum_i x_i^2}$ is the same for $x$ and $ax$, so nothing is added.
#
# *Face.* In seconds, frame $i$ of the camera is centred at $\tau_i = (i + \frac12) / 30$, frame $t$ of the model at
# $(t + \frac12) / 25$. Between two neighbours, $\tau_i \le \tau \le \tau_{i+1}$, intensities, pose and gaze lie on a line,
#
# $$u(\tau) = (1 - w)\, u_i + w\, u_{i+1}, \qquad w = \frac{\tau - \tau_i}{\tau_{i+1} - \tau_i},$$
#
# and presences (0 or 1) are those of the nearest. Where OpenFace has lost the face (`success` 0 or little `confidence`) the
# mask is False: a system then reads the mean of what it does see, instead of numbers about nothing.

# %%
mine = refmer.read_clip(wav=my_wav, openface_csv=my_csv)
print(mine)

fig, (ax1, ax2, ax3) = plt.subplots(3, 1, figsize=(9, 6), layout="constrained", sharex=True)
seconds = len(sound) / 16000
ax1.plot(np.arange(len(sound)) / 16000, sound, lw=0.4)
ax1.set(ylabel="wave", title="A stranger's clip, from its files")
logmel, face = mine.streams["logmel"], mine.streams["units"]
ax2.imshow(logmel.x[0].T, origin="lower", aspect="auto", extent=(0, seconds, 0, 40))
ax2.set(ylabel="mel band")
t = (np.arange(face.mask.shape[1]) + 0.5) / 25
for name in ("AU06_r", "AU12_r", "AU04_r"):
    ax3.plot(t, np.where(face.mask[0], face.x[0, :, face.features.index(name)], np.nan), ".-", label=name)
ax3.axvspan(20 / 30, 32 / 30, color="0.85", label="no face found")
ax3.set(xlabel="seconds", ylabel="intensity", ylim=(0, 5))
ax3.legend(ncols=4, loc="upper right")
plt.show()

# Lesson 1: rate, channels and loudness are gone; what differs from the bundled features is rounding and the last filter.
quiet = refmer.read_clip(wav=write_wav(folder / "quiet.wav", 0.05 * sound, to=48000, channels=1))
there = known.streams["logmel"].mask[0]
for clip in (mine, quiet):
    off = np.abs(clip.streams["logmel"].x[0] - known.streams["logmel"].x[0, there])[:, :37]  # bands below 7 kHz
    print(f"log-mel is off by {np.median(off):.3f} (median)")
    assert np.median(off) < 0.15
# Lesson 2: where there was no face, there is no number. (The camera stopped a moment before the sound: that is masked, too.)
assert not face.mask[0, 17:26].any() and not face.x[0, 17:26].any() and face.mask[0, 28:-2].all()

# %% [markdown]
# ## A model that needs what you have
#
# OpenFace-Adaptive (tutorial 13) reads words, too. We have none, so we leave that modality out. A model that was trained with
# words says what is missing; vectors could be given as `words=`, but they would have to be of the corpus's small language.

# %%
config = {"modalities": ("visual", "audio")}
model = refmer.Recognizer("openface_adaptive", config=config, label="emotion", seed=0, epochs=30).fit(train)
print(f"accuracy on clips of other speakers: {model.score(test):.2f}")
answers, gates, all_gates = model.predict_proba(mine)[0], model.explain(mine), model.explain(test)

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
left.bar(np.arange(6) - 0.2, answers, 0.4, label="from the files")
left.bar(np.arange(6) + 0.2, model.predict_proba(known)[0], 0.4, label="from the corpus")
left.set_xticks(range(6), clips.labels["emotion"].names, rotation=25)
left.set(ylabel="probability", title="The answer")
left.legend()
for k, name in enumerate(("visual", "audio")):
    right.scatter(all_gates[f"{name}.gate"][:, 0], k + rng.uniform(-0.2, 0.2, len(test)), s=8, color="0.6")
    right.scatter(gates[f"{name}.gate"][0, 0], k, s=80, color=f"C{k}", marker="D")
right.set(xlabel="gate", yticks=(0, 1), yticklabels=("face", "voice"), title="Trust: this clip among the others")
plt.show()

# Lesson 3: out through files and in again, with 0.4 s of the face lost, and the answer stays.
assert np.abs(answers - model.predict_proba(known)[0]).max() < 0.15
assert answers.argmax() == model.predict(known)[0]

# %% [markdown]
# ## What cannot be read is named
#
# Nothing is guessed. A clip with less than a tenth of a second of voice, a pitch that holds, is read with a warning: a whisper
# is speech.

# %%
names = units.features
bad = {
    "too short": {"wav": write_wav(folder / "short.wav", sound[:1600])},
    "no sound": {"wav": write_wav(folder / "silent.wav", 0 * sound)},
    "no wav file": {"wav": my_csv},
    "another table": {"openface_csv": write_openface(folder / "other.csv", units.x[0], ["unknown"] * 49)},
    "no face at all": {"openface_csv": write_openface(folder / "dark.csv", units.x[0], names, lost=range(999))},
}
said = []
for what, files in bad.items():
    try:
        refmer.read_clip(**files)
    except ValueError as error:
        said.append(what)
        print(f"{what}: {error}")
try:
    model.predict(refmer.read_clip(wav=my_wav))
except ValueError as error:
    said.append("no face for the model")
    print(f"no face for the model: {error}")

# Lesson 4: six ways to be wrong, six messages, no silent NaN.
assert len(said) == 6

# %% [markdown]
# ## Should it have been asked?
#
# A network answers everything. What was the training like? For a clip's mean $\bar x_c$ of feature $c$, let
#
# $$z_c = \frac{\bar x_c - \mu_c}{s_c}, \qquad d = \sqrt{\tfrac1C \sum_c z_c^2},$$
#
# with $\mu_c$, $s_c$ mean and standard deviation of $\bar x_c$ over training clips: $d$ is about 1 for clips like those.


# %%
def clip_means(clips, name):
    s = clips.streams[name]
    return np.stack([x[m].mean(0) for x, m in zip(s.x, s.mask, strict=True)])


def distance(clips, name):
    seen = clip_means(train, name)
    return np.sqrt((((clip_means(clips, name) - seen.mean(0)) / seen.std(0)) ** 2).mean(-1))


telephone = np.fft.rfft(sound)
f = np.fft.rfftfreq(len(sound), 1 / 16000)
telephone[(f < 300) | (f > 3400)] *= 0.01
phone = refmer.read_clip(wav=write_wav(folder / "phone.wav", 0.5 * np.fft.irfft(telephone, len(sound))))
others = distance(test, "mfcc")
d, d_phone = distance(mine, "mfcc")[0], distance(phone, "mfcc")[0]
low, high = np.quantile(others, (0.05, 0.95))
print(f"other speakers {low:.1f} to {high:.1f}, the clip {d:.1f}, by telephone {d_phone:.1f}")

# Lesson 5: the same words through a telephone are further away than nearly all clips of new speakers. No probability tells.
assert d_phone > 1.3 * high and d_phone > 1.5 * d

# %% [markdown]
# Your own voice and face will be further away still. This model has seen computer-made voices and drawn faces: **what it says
# about you means nothing**, and a real one, trained on real people, would need their consent and yours. What you have now is
# the path: every number between the microphone and the gate is in your hands.
#
# ## On your own
#
# 1. Read your own files. Which $z_c$ is largest? (The first number of `mfcc` is loudness, the next is tilt.) And by telephone?
# 2. Move your sound by half a second against the face. Does this model notice? Which system of tutorials 10 to 14 could?
# 3. Why is $d$ of `mine` the same for `0.5 * sound` and `0.05 * sound`, but not if you turn the volume while you speak?

# %% tags=["hide-cell"]
# Solution 1: of the telephone, coefficients of the shape of the spectrum, whose both ends are gone.
z = (clip_means(phone, "mfcc") - clip_means(train, "mfcc").mean(0)) / clip_means(train, "mfcc").std(0)
print("largest |z|:", mine.streams["mfcc"].features[np.abs(z[0]).argmax()], f"{np.abs(z).max():.1f}")

# Solution 2: no: it reads the mean of each stream over time. AuxFormer, TLAB-JCA and RAVER read sequences.
late = refmer.corrupt(known, "voice", "shift", 0.2)
assert np.abs(model.predict_proba(late) - model.predict_proba(known)).max() < 0.2

# Solution 3: one gain for the whole wave is divided out; one that changes remains: loudness in time is expression.
temporary.cleanup()
