# %% [markdown]
# # 3. Look and listen
#
# Introduces: `refmer.Clips`, `refmer.raw_signals`, `refmer.synthesize`, `refmer.data.front_end.front_end`,
# `refmer.data.front_end.mel_filters`
#
# **After this page** you can turn a wave into a log-mel spectrogram and pictures of faces into action units, read valence and
# arousal, say why annotations come late, and show what a split that mixes speakers costs.
#
# **Time.** 60 minutes to read, 10 seconds to run.
#
# **You need** tutorial 1: a trained layer; and $e^{i\varphi} = \cos\varphi + i \sin\varphi$.

# %%
import matplotlib.pyplot as plt
import numpy as np

import refmer
from refmer.data.front_end import front_end, mel_filters

clips: refmer.Clips = refmer.load_samples()
for name, stream in clips.streams.items():
    print(f"{name:8s} {stream.sense:6s} {str(stream.x.shape):18s} at {stream.rate:4g} Hz, {stream.mask.mean():.0%} filled")

# %% [markdown]
# A `Clips` holds *streams* of the senses, $(N, T, \dots)$ arrays. Clips differ in length, so the end of the shorter ones is
# padded with zeros; `mask` tells frames from padding. **Everything here is synthetic**: nobody was recorded. How often a voice
# or a face shows something else than was intended follows people's answers on CREMA-D (see `data_samples/README.md`).
#
# ## From a wave to a spectrum
#
# `raw_signals` makes the sound of a bundled clip again, 16,000 numbers per second. Cut out $N = 512$ of them (32 ms), every 320
# samples (20 ms). Ask each piece how much of every frequency is in it:
#
# $$X_{tk} = \sum_{n=0}^{N-1} w_n\, x_{tn}\, e^{-2\pi i k n / N}, \qquad P_{tk} = \frac{|X_{tk}|^2}{N} .$$
#
# Bin $k$ stands for $k \cdot 16000 / N$ Hz. The *Hann window* $w_n$ lets each piece begin and end softly:
#
# $$w_n = \tfrac12 - \tfrac12 \cos \tfrac{2\pi n}{N} = \tfrac12 - \tfrac14 e^{2\pi i n/N} - \tfrac14 e^{-2\pi i n/N} .$$
#
# What does it do to a pure tone $x_n = e^{2\pi i m n/N}$ of bin $m$? Powers of $e$ add their exponents, and
# $\sum_n e^{2\pi i (m-k) n/N}$ is $N$ if $k = m$ and else 0. So
#
# $$X_k = \tfrac N2 \delta_{k,m} - \tfrac N4 \delta_{k,m+1} - \tfrac N4 \delta_{k,m-1} :$$
#
# three bins light up, the neighbours with a quarter of the power. That is the price; without a window, a tone *between* bins
# would spill over all of them.

# %%
N, HOP, RATE = 512, 320, 16000
w = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N) / N)
lit = np.abs(np.fft.fft(w * np.exp(2j * np.pi * 40 * np.arange(N) / N))) ** 2  # m = 40

# Lesson 1: a windowed tone lights its bin and two neighbours, these with a quarter of the power, and nothing else.
np.testing.assert_allclose(lit[[39, 40, 41]] / (N / 2) ** 2, [0.25, 1, 0.25])
assert np.delete(lit, [39, 40, 41]).max() < 1e-12 * lit.max()

# %% [markdown]
# ## From a spectrum to log-mel
#
# The ear resolves low frequencies finely and high ones coarsely. The mel scale,
# $\operatorname{mel}(f) = 2595 \log_{10}(1 + f/700)$, counts in its steps. `mel_filters` gives 40 triangles $F_{kj}$ of equal
# width *in mel*, each of sum 1; and since loudness is felt in ratios, we take logarithms:
#
# $$S_{tj} = \ln \Bigl( \sum_k P_{tk} F_{kj} + 10^{-10} \Bigr).$$
#
# Turn the sound up by $a$: $P$ grows by $a^2$, and every $S_{tj}$ by the same $2 \ln a$. A microphone's distance must not look
# like a mood, so the front end first scales each clip to a root mean square of 0.1. It also subtracts 0.97 of the previous
# sample (pre-emphasis): voices have little power at high frequencies.


#
# Four functions, each with its backward. They work on $B$ waves at once; $x_n$ is one of them, with $n$ from 0 to $L - 1$.
#
# **Gain.** $y_n = g x_n$ with $g = 0.1\, v^{-1/2}$, $v = \frac1L \sum_n x_n^2$. Every $x_n$ also moves $g$:
# $\partial g / \partial x_n = -\frac12\, 0.1\, v^{-3/2} \cdot \frac2L x_n = -\frac{g}{vL} x_n$, so
#
# $$dg = \sum_n dy_n x_n, \qquad dx_n = g\, dy_n - \frac{g}{vL}\, x_n\, dg .$$
#
# **Pre-emphasis.** $y_0 = x_0$ and $y_n = x_n - 0.97\, x_{n-1}$. Each sample is used twice, by $y_n$ and by $y_{n+1}$:
# $dx_n = dy_n - 0.97\, dy_{n+1}$, and the last one only once.
#
# **Frames.** $y_{tn} = x_{t \cdot \text{hop} + n}$. Frames overlap, so a sample is used by several: its gradient is the sum of
# theirs ("overlap and add"); samples behind the last frame get 0.
#
# **Log-mel.** With $u_{tn} = w_n y_{tn}$ and $X = R + iQ$, $R_{tk} = \sum_n u_{tn} \cos \frac{2\pi kn}{N}$,
# $Q_{tk} = -\sum_n u_{tn} \sin \frac{2\pi kn}{N}$ for $k = 0 \dots N/2$ (the other half mirrors these),
#
# $$P_{tk} = \frac{R_{tk}^2 + Q_{tk}^2}{N}, \qquad M_{tj} = \sum_k P_{tk} F_{kj}, \qquad S_{tj} = \ln (M_{tj} + 10^{-10}) .$$
#
# Backward, from the bottom up:
#
# $$dM_{tj} = \frac{dS_{tj}}{M_{tj} + 10^{-10}}, \quad dP_{tk} = \sum_j dM_{tj} F_{kj}, \quad
#   dR_{tk} = \tfrac2N R_{tk}\, dP_{tk}, \quad dQ_{tk} = \tfrac2N Q_{tk}\, dP_{tk},$$
#
# $$du_{tn} = \sum_k \Bigl( dR_{tk} \cos \tfrac{2\pi kn}{N} - dQ_{tk} \sin \tfrac{2\pi kn}{N} \Bigr), \qquad
#   dy_{tn} = w_n\, du_{tn} .$$


# %%
def our_gain(x):
    """Return g = 0.1 / (root mean square of each wave) and y = g x.

    x (B, L) -> g (B, 1), y (B, L)
    """
    g = 0.1 * ((x * x).mean(-1, keepdims=True)) ** -0.5
    y = g * x
    return g, y


def our_gain_backward(dy, x, g):
    """Return the gradients of g and x for the upstream gradient dy.

    dy (B, L), x (B, L), g (B, 1) -> dg (B, 1), dx (B, L)
    """
    dg = (dy * x).sum(-1, keepdims=True)
    v = (x * x).mean(-1, keepdims=True)
    dx = g * dy - g / (v * x.shape[-1]) * x * dg
    return dg, dx


def our_emphasis(x):
    """Return y: each sample minus 0.97 of the one before it; the first sample of a wave
    stays as it is.

    x (B, L) -> y (B, L)
    """
    y = x.copy()
    y[:, 1:] = x[:, 1:] - 0.97 * x[:, :-1]
    return y


def our_emphasis_backward(dy):
    """Return the gradient of x for the upstream gradient dy.

    dy (B, L) -> dx (B, L)
    """
    dx = dy.copy()
    dx[:, :-1] = dy[:, :-1] - 0.97 * dy[:, 1:]
    return dx


def our_frames(x, size, hop, count):
    """Return the first `count` frames: frame t has the samples from t * hop to t * hop +
    size - 1.

    x (B, L), size N, hop and count integers, (count - 1) * hop + N at most L
    -> y (B, count, N)
    """
    y = np.stack([x[:, t * hop : t * hop + size] for t in range(count)], axis=1)
    return y


def our_frames_backward(dy, length, hop):
    """Return the gradient of x, waves of `length` samples, for the upstream gradient dy.

    dy (B, count, N), length L and hop integers -> dx (B, L)
    """
    dx = np.zeros((len(dy), length), dy.dtype)
    for t in range(dy.shape[1]):
        dx[:, t * hop : t * hop + dy.shape[2]] += dy[:, t]
    return dx


def our_log_mel(y, w, F):
    """Return real and imaginary part of the spectra of windowed frames, their powers P in
    mel bands, M, and S = ln(M + 1e-10).

    y (B, T, N) with N even, window w (N,), filters F (N/2 + 1, J)
    -> R, Q (B, T, N/2 + 1), M (B, T, J), S (B, T, J)
    """
    N = y.shape[-1]
    angle = 2 * np.pi / N * np.outer(np.arange(N), np.arange(N // 2 + 1))  # (N, N/2 + 1)
    u = w * y
    R, Q = u @ np.cos(angle), -u @ np.sin(angle)
    P = (R * R + Q * Q) / N
    M = P @ F
    S = np.log(M + 1e-10)
    return R, Q, M, S


def our_log_mel_backward(dy, w, F, R, Q, M):
    """Return the gradients of M, P, R, Q, of the windowed frames u, and of the frames, for
    the upstream gradient dy of S.

    dy (B, T, J), the others as in our_log_mel
    -> dM (B, T, J), dP, dR, dQ (B, T, N/2 + 1), du, dframes (B, T, N)
    """
    N = len(w)
    angle = 2 * np.pi / N * np.outer(np.arange(N), np.arange(N // 2 + 1))
    dM = dy / (M + 1e-10)
    dP = dM @ F.T
    dR, dQ = 2 / N * R * dP, 2 / N * Q * dP
    du = dR @ np.cos(angle).T - dQ @ np.sin(angle).T
    dframes = w * du
    return dM, dP, dR, dQ, du, dframes


def log_mel(wave):
    x = our_emphasis(our_gain(wave[None])[1])
    x = np.pad(x, ((0, 0), ((N - HOP) // 2, N)), mode="reflect")  # so that frame t is centred at (t + 0.5) HOP
    return our_log_mel(our_frames(x, N, HOP, len(wave) // HOP), w, mel_filters(RATE, N, 40))[-1][0]  # (T, 40)


angry, sad, happy = (clips.name.tolist().index(n) for n in ("s01-anger-0", "s01-sadness-0", "s01-happiness-1"))
peak = mel_filters(RATE, N, 40).argmax(0) * RATE / N  # Hz in the middle of each band
fig, axes = plt.subplots(2, 2, figsize=(9, 4.5), sharex="col", height_ratios=[1, 2], layout="constrained")
for n, (top, bottom) in zip((angry, sad), axes.T, strict=True):
    raw = refmer.raw_signals(clips.name[n])
    ours, theirs = log_mel(raw.wave.astype(float)), front_end(raw.wave, raw.rate)
    f0 = np.where(theirs["prosody"][:, 0] > 0, theirs["prosody"][:, 0], np.nan)
    top.plot(np.arange(len(raw.wave)) / raw.rate, raw.wave, lw=0.3)
    top.set(title=f"{clips.name[n]}, pitch {np.nanmedian(f0):.0f} Hz, moved by {np.nanstd(f0):.0f} Hz", ylim=(-0.4, 0.4))
    bottom.imshow(ours.T, origin="lower", aspect="auto", extent=(0, len(ours) / 50, -0.5, 39.5), cmap="magma", vmin=-15)
    bottom.plot((np.arange(len(f0)) + 0.5) / 50, np.interp(f0, peak, np.arange(40)), "c.", ms=3, label="pitch (F0)")
    bottom.set_yticks([0, 10, 20, 30, 39], [f"{peak[j]:.0f} Hz" for j in (0, 10, 20, 30, 39)])
    bottom.set(xlabel="seconds")
    bottom.legend(loc="upper right", labelcolor="w", facecolor="k", fontsize=8)
plt.show()

# Lesson 2: refmer's front end is what we wrote, and the bundled stream is its output, rounded for storage.
np.testing.assert_allclose(ours, theirs["logmel"], atol=1e-9)
assert np.abs(clips.streams["logmel"].x[sad, : len(ours)] - ours).max() < 0.1
# Lesson 3: turning up the sound changes nothing. So no gradient points along the wave itself.
np.testing.assert_allclose(front_end(3 * raw.wave.astype(float), RATE)["logmel"], theirs["logmel"], atol=1e-9)
x, dy = raw.wave[None].astype(float), np.random.default_rng(0).normal(size=(1, len(raw.wave)))
dx = our_gain_backward(dy, x, our_gain(x)[0])[1]
assert abs((dx * x).sum()) < 1e-9 * np.abs(dx * x).sum()

# %% [markdown]
# Listen: `data_samples/` has a wav file of each emotion; in Jupyter, `IPython.display.Audio(raw.wave, rate=raw.rate)` plays any
# clip. Dark stripes are pauses, light ones syllables; slow bends are formants, the resonances of mouth and throat. Anger is
# fast, its pitch jumps. And see what the scaling costs: the sad wave is soft, but its log-mel no longer says so.
#
# ## From a face to action units
#
# Action units are the alphabet of faces: AU12 pulls the corners of the lips up, AU04 lowers the brows, each from 0 to 5.
# OpenFace and others read them off pictures. **Here it is the other way round**: `units` moved a drawing; noise was added.

# %%
units, frames = clips.streams["units"], clips.streams["frames"]
T = frames.mask[happy].sum()
at = np.linspace(0, T - 1, 9).astype(int)
fig, (top, bottom) = plt.subplots(2, 1, figsize=(9, 3.8), height_ratios=[1, 1.6], layout="constrained")
top.imshow(np.hstack([frames.x[happy, t] for t in at]), cmap="gray")
top.set(xticks=[24 * j + 11.5 for j in range(9)], xticklabels=[f"{(t + 0.5) / 25:.1f} s" for t in at], yticks=[])
for name, what in {"AU12": "lip corners up", "AU06": "cheeks up", "AU25": "lips apart", "AU04": "brows down"}.items():
    bottom.plot((np.arange(T) + 0.5) / 25, units.x[happy, :T, units.features.index(name + "_r")], label=f"{name}, {what}")
bottom.set(xlabel="seconds", ylabel="intensity", xlim=(0, T / 25), ylim=(-0.2, 5.9))
bottom.legend(ncols=4, loc="upper center", fontsize=8)
plt.show()

# %% [markdown]
# Can a linear layer read them off the pixels? Let $x_b$ be the $24 \cdot 24$ pixels of picture $b$ and $u_b$ its 17
# intensities, means subtracted. Minimise $\sum_b |W^\top x_b - u_b|^2 + \lambda |W|^2$; where the gradient
# $2 X^\top (X W - U) + 2 \lambda W$ is zero, $W = (X^\top X + \lambda)^{-1} X^\top U$. The score is $R^2$: 1 is perfect, 0 no
# better than the mean. We ask three times: of *pictures* left out of training, of *clips* left out, of *speakers* left out.


# %%
def pictures(c):
    x, u, there = (a[:, ::5] for a in (c.streams["frames"].x, c.streams["units"].x, c.streams["frames"].mask))  # every fifth
    return x[there].reshape(-1, 24 * 24) / 255, u[there][:, :17]


def read_units(X, U, X2, U2, ridge=10.0):
    x0, u0 = X.mean(0), U.mean(0)
    W = np.linalg.solve((X - x0).T @ (X - x0) + ridge * np.eye(X.shape[1]), (X - x0).T @ (U - u0))
    return W, np.mean(1 - (((X2 - x0) @ W + u0 - U2) ** 2).sum(0) / ((U2 - U2.mean(0)) ** 2).sum(0))  # W, mean R2


X, U = pictures(clips)
scores = {"pictures": [], "clips": [], "speakers": []}
for seed in range(3):
    new = np.random.default_rng(seed).random(len(X)) < 0.25
    scores["pictures"].append(read_units(X[~new], U[~new], X[new], U[new])[1])
    for what, by in (("clips", "name"), ("speakers", "speaker")):
        train, test = clips.split(by=by, test_size=0.25, seed=seed)
        W, score = read_units(*pictures(train), *pictures(test))
        scores[what].append(score)

fig, axes = plt.subplots(1, 3, figsize=(9, 2.8), width_ratios=[1, 1, 1.7], layout="constrained")
for ax, name, what in zip(axes, ("AU04_r", "AU26_r"), ("brows down", "jaw drops"), strict=False):
    ax.imshow(frames.x[frames.mask].mean(0), cmap="gray", alpha=0.4)
    shown = ax.imshow(W[:, units.features.index(name)].reshape(24, 24), cmap="RdBu_r", vmin=-0.5, vmax=0.5, alpha=0.7)
    ax.set(title=f"{name[:4]}: {what}", xticks=[], yticks=[])
fig.colorbar(shown, ax=axes[:2], label="weight of a light pixel")
axes[2].bar(list(scores), [np.mean(s) for s in scores.values()], color=["0.8", "0.6", "C0"])
axes[2].set(title="what is new in the test", ylabel="R², mean of 17 units")
plt.show()

# Lesson 4: with the same people, even the same clips, in both parts, the score is far too good. Split by speaker.
assert min(scores["pictures"]) > max(scores["speakers"]) + 0.1 and not set(train.speaker) & set(test.speaker)

# %% [markdown]
# Nobody cheated. But pictures 0.2 s apart are nearly the same, with nearly the same answer, and whoever knows a face need not
# know faces. From here on, every score is of speakers whom the model has never met.
#
# ## The plane of valence and arousal
#
# The other part of the corpus: 36 recordings in which feelings wander. Four simulated annotators follow valence (unpleasant to
# pleasant) and arousal (calm to excited); `affect` is their mean. People need time to react. This corpus knows what was felt,
# $f_t$, as well as what was annotated, $a_t$: at which delay $d$ do $f_{t-d}$ and $a_t$ agree best?

# %%
recordings = refmer.load_samples("recordings")
affect, felt, there = recordings.affect, recordings.truth["affect"], recordings.labels["affect"].mask
trios = [(f[m, k], a[m, k], m.sum()) for f, a, m in zip(felt, affect, there, strict=True) for k in (0, 1)]
agreement = [np.mean([np.corrcoef(f[: T - d], a[d:])[0, 1] for f, a, T in trios]) for d in range(26)]
sound = recordings.streams["prosody"]
smile = recordings.streams["units"].x[there][:, units.features.index("AU12_r")]
flux = sound.x[:, ::2][:, : there.shape[1]][there][:, sound.features.index("flux")]  # how fast the spectrum changes

fig, (a, b, c) = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
a.plot(np.arange(26) / 25, agreement)
a.set(xlabel="delay (s)", ylabel="correlation with what was felt", title="annotations come late")
for n in (0, 10, 20):
    b.plot(*affect[n][there[n]].T, lw=1)
b.set(title="three recordings", xlabel="valence", ylabel="arousal", xlim=(-1.05, 1.05), ylim=(-1.05, 1.05))
spots = c.hexbin(*affect[there].T, smile, gridsize=14, extent=(-1, 1, -1, 1), cmap="viridis", mincnt=5)
c.set(title="where people smile", xlabel="valence")
fig.colorbar(spots, ax=c, label="AU12")
plt.show()
correlation = np.corrcoef([*affect[there].T, smile, flux])
print("correlation with valence and arousal:", {"smile": correlation[2, :2].round(2), "flux": correlation[3, :2].round(2)})

# Lesson 5: annotators are 0.2 to 0.6 s behind.
assert 0.2 <= np.argmax(agreement) / 25 <= 0.6
# Lesson 6: a smile tells more of valence than of arousal; the voice's flux more of arousal than of valence.
assert correlation[2, 0] > correlation[2, 1] and correlation[3, 1] > correlation[3, 0]

# %% [markdown]
# ## What people confuse
#
# Back to the clips. Ten raters voted on each; $C_{ik}$ is the share of votes for emotion $k$ when $i$ was intended. Beside it,
# what voice and face *show*: only a synthetic corpus knows that.

# %%
K = len(names := clips.labels["votes"].names)
meant = np.eye(K)[clips.intended]  # (N, K)
answers = {"answered by people": clips.votes / clips.votes.sum(1, keepdims=True)}
answers |= {f"shown by the {sense}": np.eye(K)[clips.truth[f"shown_{sense}"]] for sense in ("voice", "face")}
C = {title: meant.T @ y / meant.sum(0)[:, None] for title, y in answers.items()}  # (K, K)
fig, axes = plt.subplots(1, 3, figsize=(9, 3.6), sharey=True, layout="constrained")
for ax, (title, share) in zip(axes, C.items(), strict=True):
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i, k in np.ndindex(K, K):
        ax.text(k, i, f"{100 * share[i, k]:.0f}", ha="center", va="center", fontsize=7, color="w" if share[i, k] > 0.6 else "k")
    ax.set(title=f"{title} (%)", yticks=range(K), yticklabels=names)
    ax.set_xticks(range(K), names, rotation=45, ha="right")
axes[0].set(ylabel="intended")
plt.show()
people, happiness, neutral, sadness = C["answered by people"], 3, 4, 5
# Lesson 7: happiness is easiest. Sadness is more often called neutral than sadness; neutral is hardly ever called sadness.
assert people.diagonal().argmax() == happiness
assert people[sadness, neutral] > people[sadness, sadness] and people[neutral, sadness] < 0.1

# %% [markdown]
# What then is the label of a sad clip that looks neutral? `intended` says sadness; `emotion`, the plurality of votes, may say
# neutral. Systems here learn what people perceive, not what was meant; and what is not shown, no system can find.
#
# ## On your own
#
# Write it yourself: exercise file `03_look_and_listen.py` (`refmer exercises --out DIR`, then
# `refmer grade DIR/03_look_and_listen.py`).
#
# 1. How often can the best guess of `intended` from `shown_voice` alone be right?
# 2. How far do raters agree? Compute the mean share of votes that the winning emotion gets.
# 3. Make two new people with `refmer.synthesize(2, 1, seed=1)`. Which of them is a woman?

# %% tags=["hide-cell"]
# Solution 1: guess, for each emotion shown, the one that most often meant it; all were intended equally often.
assert 0.4 < C["shown by the voice"].max(0).sum() / K < 0.55
# Solution 2: about two thirds. The "votes" of paper 004 keep the other third.
assert 0.5 < (clips.votes.max(1) / clips.votes.sum(1)).mean() < 0.85
# Solution 3: the second. Women's voices here are about 205 Hz high, men's 115 Hz.
pair = refmer.synthesize(2, 1, seed=1).streams["prosody"].x[..., 0].reshape(2, -1)  # F0 of both, 0 where unvoiced
assert np.median(pair[1][pair[1] > 0]) > 1.3 * np.median(pair[0][pair[0] > 0])
