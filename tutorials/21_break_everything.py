# %% [markdown]
# # 21. Break everything
#
# Introduces: `refmer.evaluate.robustness.auc_robustness`, `refmer.evaluate.robustness.drop`,
# `refmer.evaluate.robustness.gain_under_noise`, `refmer.evaluate.robustness.effective_vs_baseline`,
# `refmer.evaluate.statistics.paired_test`, `refmer.evaluate.statistics.detectable_effect`,
# `refmer.evaluate.statistics.verdicts`
#
# **After this page** you can draw robustness curves of several systems, say how four summaries of a curve can contradict each
# other, why seeds on one corpus are not independent, and how small an effect an experiment could have seen.
#
# **Time.** 60 minutes to read, 40 seconds to run.
#
# **You need** tutorials 4, 13, 14, 16, 18 and 20: corrupted inputs and the five systems; a mean and a standard deviation.

# %%
import matplotlib.pyplot as plt
import numpy as np

import refmer
from refmer.evaluate.robustness import auc_robustness, drop, effective_vs_baseline, gain_under_noise
from refmer.evaluate.statistics import detectable_effect, paired_test, verdicts

clips, recordings = refmer.load_samples(), refmer.load_samples("recordings")
read = {name: clips.streams[name] for name in ("units", "prosody", "mfcc", "layers", "words")}  # no pictures: it is faster
lean = refmer.Clips(read, clips.name, clips.speaker, {"emotion": clips.labels["emotion"]})


def train_on(system, clips, seed, epochs, label=None, **config):
    return refmer.Recognizer(system, label=label, config=config, seed=seed, epochs=epochs).fit(clips, progress=False)


# %% [markdown]
# ## A curve
#
# Paper 000 adds noise to the features of the face and finds that its gate keeps more: 41.2 % against 37.6 % at $\sigma = 2$. We
# train OpenFace-Adaptive with and without its gate, on clean clips as there (`reliability` 0: tutorial 4), and a plain
# concatenation, on five splits of the speakers. A seed gives split, initial weights and noise, *the same to all systems*:
# differences are paired. Trainings are short (20 epochs).

# %%
SEEDS, SIGMAS = 5, np.array([0, 1, 2, 4])
systems = {
    "gated": ("openface_adaptive", {"reliability": 0.0}),
    "ungated": ("openface_adaptive", {"reliability": 0.0, "gate": False}),
    "concatenation": ("concatenation", {}),
}
curves, gate = {name: np.zeros((SEEDS, len(SIGMAS))) for name in systems}, []
for seed in range(SEEDS):
    train, test = lean.split(by="speaker", test_size=0.25, seed=seed)
    noisy = [refmer.corrupt(test, "face", "gaussian", s, scale_from=train, seed=seed) for s in SIGMAS]
    for name, (system, config) in systems.items():
        model = train_on(system, train, seed, 20, "emotion", **config)
        curves[name][seed] = [model.score(broken) for broken in noisy]
        if name == "gated":  # how far it trusts a clean face, a noisy one, one under a hand
            faces = test, noisy[2], refmer.corrupt(test, "face", "hand", 1.0, scale_from=train, seed=seed)
            gate.append([model.explain(c)["visual.gate"].mean() for c in faces])
gate = np.array(gate)  # (SEEDS, 3)

fig, axes = plt.subplots(1, 3, figsize=(9, 3.2), sharey=True, layout="constrained")
for ax, (name, curve) in zip(axes, curves.items(), strict=True):
    ax.plot(SIGMAS, curve.T, color="0.7", lw=0.8)
    ax.plot(SIGMAS, curve.mean(0), "C0o-", label="mean of 5 splits")
    ax.axhline(1 / 6, color="k", ls=":", label="chance")
    ax.set(title=name, xlabel="noise on the face (sd)", ylim=(0, 0.85))
axes[0].set(ylabel="accuracy, emotion")
axes[1].legend(loc="upper right")
plt.show()

# %% [markdown]
# ## Four summaries
#
# For scores $f_s$ at levels $s = 0 \dots S$ and a baseline $b_s$: the *mean* of the curve (`auc_robustness`); the *drop*
# $f_0 - f_S$; the *gain under noise* $f_S - b_S$; and the *effective* robustness
# $\sum_s \bigl( f_s - b_s - (f_0 - b_0) \bigr)$, which takes away what $f$ had before anything was broken. Paper 000 prints the
# third. Its own numbers, clean and at $\sigma = 2$:

# %%
theirs, baseline = np.array([43.974, 41.164]), np.array([42.503, 37.563])
print(f"paper 000: gain {gain_under_noise(theirs, baseline):+.2f}, effective {effective_vs_baseline(theirs, baseline):+.2f}")
for name, curve in curves.items():
    mean, lost = auc_robustness(curve, SIGMAS), drop(curve)
    print(f"here, {name:13s}: mean of the curve {mean.mean():.3f}, drop {lost.mean():.3f} +- {lost.std(ddof=1):.3f}")

# Lesson 1: of the published +3.6 points, 2.13 are robustness; the rest was there on clean inputs.
np.testing.assert_allclose(gain_under_noise(theirs, baseline), 3.601, atol=1e-9)
np.testing.assert_allclose(effective_vs_baseline(theirs, baseline), 2.130, atol=1e-9)
# Lesson 2: noise breaks all three. The plain concatenation, against which paper 000 argues, is ahead at every level here.
assert all(drop(curve).mean() > 0.1 for curve in curves.values())
assert (curves["concatenation"].mean(0) > curves["gated"].mean(0)).all()

# %% [markdown]
# ## Is it real?
#
# Let $e_i$ be the effect (ours minus theirs) with seed $i$ of $n$, with mean $\bar e$ and standard deviation $\hat\sigma$. Were
# they independent, $\bar e$ would have the variance $\hat\sigma^2 / n$. They are not: every split draws from the *same* 24
# speakers. If two effects have the correlation $\rho$, then
#
# $$\operatorname{Var}(\bar e) = \frac{1}{n^2} \bigl( n \sigma^2 + n (n-1) \rho\, \sigma^2 \bigr), \qquad
#   \mathrm{E}[\hat\sigma^2] = (1 - \rho)\, \sigma^2, \qquad \text{so} \qquad
#   \operatorname{Var}(\bar e) = \mathrm{E}[\hat\sigma^2] \Bigl( \frac1n + \frac{\rho}{1 - \rho} \Bigr).$$
#
# Nadeau and Bengio (2003) take for $\rho$ the share of clips that are tested, so $\rho / (1 - \rho)$ is `test_per_train`, clips
# tested per clip trained on. Let us check with systems that are *equally good*: for each of 24 speakers, the difference of
# their scores is pure chance, and 20 seeds each test 6 of the speakers. A test at 5 % should cry wolf in 5 % of worlds.

# %%
rng = np.random.default_rng(0)
false_alarms = {0.0: [], 6 / 18: []}
for _ in range(300):
    world = rng.normal(size=24)  # one corpus: the luck of each speaker
    effects = np.array([world[rng.permutation(24)[:6]].mean() for _ in range(20)])
    for ratio, alarms in false_alarms.items():
        alarms.append(paired_test(effects, test_per_train=ratio)["p"] < 0.05)
plain, corrected = (np.mean(alarms) for alarms in false_alarms.values())
print(f"no effect at all, yet significant: plain t-test {plain:.0%}, corrected {corrected:.0%}")

# Lesson 3: with 20 seeds on one corpus, the plain paired t-test finds something in nothing several times as often as it says.
assert plain > 0.15 and corrected < 0.1

# %% [markdown]
# More seeds do not help: as $n$ grows, the standard error stays above $\hat\sigma \sqrt{\rho / (1 - \rho)}$. Only more speakers
# do. So before we ask whether the gate helps, we ask what we could have seen. `detectable_effect` gives the true effect that
# would be found in 80 % of repetitions.

# %%
TEST_PER_TRAIN = 0.25 / (0.75 * 0.85)  # 15 % of the training speakers are the development set
effects = curves["gated"][:, 2] - curves["ungated"][:, 2]  # at sigma = 2
p, sd = paired_test(effects, TEST_PER_TRAIN)["p"], effects.std(ddof=1)
seeds = np.array([3, 5, 10, 20, 50, 100])
fig, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
for ratio, label in ((0.0, "if splits were independent (they are not)"), (TEST_PER_TRAIN, "splits of one corpus")):
    ax.semilogx(seeds, [100 * detectable_effect(sd, n, ratio) for n in seeds], "o-", label=label)
ax.axhline(3.6, color="k", ls=":", label="published: +3.6 points")
ax.set(xlabel="seeds", ylabel="points of accuracy", ylim=(0, None), title="the smallest effect that would be found")
ax.set_xticks(seeds, seeds)
ax.legend()
plt.show()
found = detectable_effect(sd, SEEDS, TEST_PER_TRAIN)
print(f"gate at sigma 2: {effects.mean():+.3f}, p = {p:.2f}; an effect of {found:.3f} would have been found")

# Lesson 4: an effect of the published size is too small for five seeds on 24 speakers, whether it exists here or not.
assert found > 0.036

# %% [markdown]
# ## Five papers, seven claims
#
# `verdicts` answers *holds* or *reversed* only if a corrected one-sided test finds p < .05 (adjusted for the number of
# contrasts, Holm) *and* the mean lies beyond a margin, the smallest effect worth the name. Otherwise it says *undecided*, and
# what would have been detectable. The other four papers get three seeds and two or three epochs each: enough to see large
# effects, unfair to small ones. `refmer claims` runs the whole table, longer.


# %%
def lost_valence(model, test, broken):
    """Return how much more of valence than of arousal is lost (concordance)."""
    before, after = (model.scores(model.predict(c), c) for c in (test, broken))
    return (before["ccc_valence"] - after["ccc_valence"]) - (before["ccc_arousal"] - after["ccc_arousal"])


weight, half, cliff, valence = [], [], [], []
for seed in range(3):
    train, test = clips.split(by="speaker", test_size=0.25, seed=seed)
    hand = refmer.corrupt(test, "face", "hand", 1.0, scale_from=train[:40], seed=seed)
    model = train_on("of_cmaer_cat", train, seed, 2)
    visual = model.config_.modalities.index("visual")
    weight.append((model.explain(hand)["weights"] - model.explain(test)["weights"])[:, visual].mean())
    train, test = lean.split(by="speaker", test_size=0.25, seed=seed)  # the same speakers
    some, most, all_ = (refmer.corrupt(test, "face", "missing", share, seed=seed) for share in (0.5, 0.9, 1.0))
    model = train_on("auxformer", train, seed, 3)
    half.append(model.score(some) - model.score(test))
    model = train_on("raver", train, seed, 3, "emotion")
    cliff.append(model.score(most) - model.score(all_) - 0.05)
    train, test = recordings.split(by="speaker", test_size=0.25, seed=seed)
    model = train_on("tlab_jca", train, seed, 2)
    valence.append(lost_valence(model, test, refmer.corrupt(test, "face", "hand", 1.0, scale_from=train, seed=seed)))

claims = {  # effects by seed, margin, claimed direction
    "000: the gate helps at sigma 2": (effects, 0.01, "greater"),
    "000: trust falls when noise comes": (gate[:, 1] - gate[:, 0], 0.01, "less"),
    "000: trust falls under a hand": (gate[:, 2] - gate[:, 0], 0.01, "less"),
    "001: a covered face loses weight": (weight, 0.01, "less"),
    "002: half the face gone costs < 1 point": (half, 0.01, "equal"),
    "003: a hand costs valence most": (valence, 0.01, "greater"),
    "004: 90 to 100 % gone costs < 5 points": (cliff, 0.0, "less"),
}
table = {text: verdicts({"": e}, margin, way, TEST_PER_TRAIN)[""] for text, (e, margin, way) in claims.items()}
for text, v in table.items():
    print(f"{text:40s} {v['effect']['mean']:+.3f}, detectable {v['detectable'] or 0:.3f}: {v['verdict']}")

fig, ax = plt.subplots(figsize=(9, 3.8), layout="constrained")
colour = {"holds": "C2", "reversed": "C3", "undecided": "0.6"}
for row, (text, v) in enumerate(table.items()):
    ax.plot(np.clip(v["interval"], -0.8, 0.8), [row, row], color=colour[v["verdict"]], lw=3)
    ax.plot(claims[text][0], [row] * len(claims[text][0]), "k.", ms=4)
    ax.text(0.84, row, v["verdict"], va="center", color=colour[v["verdict"]])
ax.axvline(0, color="k", lw=0.8)
ax.set_yticks(range(len(table)), [f"{text}  [{claims[text][2]}]" for text in table])
ax.set(xlabel="effect by seed (dots) and 95 % interval of its mean (cut at 0.8)", xlim=(-0.8, 1.2), ylim=(6.5, -0.5))
plt.show()

# Lesson 5: the gate notices a hand, but it trusts a noisy face *more* than a clean one. Nobody taught it what reliable means.
assert (gate[:, 2] < gate[:, 0]).all() and (gate[:, 1] > gate[:, 0]).all()
# Lesson 6: nine tenths of the face may go; the last tenth costs far more than 5 points. That is a cliff.
assert np.mean(cliff) > 0.05
# Lesson 7: most lines stay undecided. That is the finding.
assert sum(v["verdict"] == "undecided" for v in table.values()) >= 3

# %% [markdown]
# An undecided claim is not a wrong one. And a verdict here speaks of a mechanism, tiny, hardly trained, on a synthetic corpus:
# not of the published number. What can be carried over is the question: pairs, overlap, margin, and what you could have seen.
#
# ## On your own
#
# 1. With twenty contrasts and no effect anywhere, how often does at least one of them come out at p < .05?
# 2. How many points would 100 seeds detect, and why hardly fewer than 20?
# 3. Derive $\mathrm{E}[\hat\sigma^2] = (1 - \rho)\, \sigma^2$.

# %% tags=["hide-cell"]
# Solution 1: in 1 - .95^20 = 64 % of papers, if they are independent. Therefore Holm: give `verdicts` all contrasts of a claim.
worlds = rng.normal(size=(100, 20, 5))  # 100 papers, 20 contrasts, 5 independent seeds
found_some = np.mean([any(paired_test(e)["p"] < 0.05 for e in world) for world in worlds])
held = np.mean([any(v["verdict"] == "holds" for v in verdicts(dict(enumerate(world)), 0.0).values()) for world in worlds[:30]])
print(f"twenty contrasts, no effect: something found in {found_some:.0%} of papers, with Holm in {held:.0%}")
assert found_some > 0.4 and held < 0.25
# Solution 2: at best c sd sqrt(rho / (1 - rho)), with c near 2.5; the term 1/n is already small at 20.
assert detectable_effect(sd, 100, TEST_PER_TRAIN) > 0.85 * detectable_effect(sd, 20, TEST_PER_TRAIN)
# Solution 3: n sigma^2 is the expected sum of squares, n Var(mean) goes to the mean; their difference, over n - 1, is it.
n, rho = 20, 0.25
np.testing.assert_allclose((n - n * (1 + (n - 1) * rho) / n) / (n - 1), 1 - rho)
