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

# %% [markdown]
# The page uses the clips and the recordings of the bundled corpus. Most systems read features and no pictures. For them,
# `features` has the same clips without the pictures, which is faster.

# %%
clips, recordings = refmer.load_samples(), refmer.load_samples("recordings")
names_of_streams = ("units", "prosody", "mfcc", "layers", "words")
streams = {name: clips.streams[name] for name in names_of_streams}
features = refmer.Clips(streams, clips.name, clips.speaker, {"emotion": clips.labels["emotion"]})


def train_on(system, clips, seed, epochs, label=None, **config):
    model = refmer.Recognizer(system, label=label, config=config, seed=seed, epochs=epochs)
    return model.fit(clips, progress=False)


def split_by_speaker(clips, seed):
    return clips.split(by="speaker", test_size=0.25, seed=seed)


def with_hand(test, train, seed):
    """Return the test clips with a hand over the face."""
    return refmer.corrupt(test, "face", "hand", 1.0, scale_from=train, seed=seed)


# %% [markdown]
# ## A robustness curve
#
# A *robustness curve* is the score of a system at growing levels of a corruption. The first level is the clean input.
#
# Paper 000 adds noise to the features of the face. It reports that a system with a gate keeps more: at $\sigma = 2$ its
# accuracy is 41.2 %, against 37.6 % of the baseline.
#
# Here three systems are compared: OpenFace-Adaptive with its gate, the same without its gate, and a plain concatenation. As in
# the paper, the gate is trained on clean clips, without the loss on reliability of tutorial 4 (`reliability` is 0).
#
# Every system is trained five times. A seed fixes the split of the speakers, the initial weights and the noise. It is *the same
# for all systems*, so their scores come in pairs, and a difference of two scores belongs to one split. Trainings are short (20
# epochs).
#
# The loop also stores the mean gate of the face on three versions of the test clips: clean, with noise of $\sigma = 2$, and
# with a hand over the face.

# %%
SEEDS, SIGMAS = 5, np.array([0, 1, 2, 4])
systems = {
    "gated": ("openface_adaptive", {"reliability": 0.0}),
    "ungated": ("openface_adaptive", {"reliability": 0.0, "gate": False}),
    "concatenation": ("concatenation", {}),
}
curves = {name: np.zeros((SEEDS, len(SIGMAS))) for name in systems}
gate = np.zeros((SEEDS, 3))  # of the face: clean, noisy, under a hand

for seed in range(SEEDS):
    train, test = split_by_speaker(features, seed)
    noisy = [refmer.corrupt(test, "face", "gaussian", sigma, scale_from=train, seed=seed) for sigma in SIGMAS]
    for name, (system, config) in systems.items():
        model = train_on(system, train, seed, 20, "emotion", **config)
        curves[name][seed] = [model.score(corrupted) for corrupted in noisy]
        if name == "gated":
            versions = test, noisy[2], with_hand(test, train, seed)
            gate[seed] = [model.explain(version)["visual.gate"].mean() for version in versions]

# %%
fig, axes = plt.subplots(1, 3, figsize=(9, 3.4), sharey=True, layout="constrained")
for ax, (name, curve) in zip(axes, curves.items(), strict=True):
    ax.plot(SIGMAS, curve.T, color="0.7", lw=0.8)
    ax.plot(SIGMAS, curve.mean(0), "C0o-", label="mean of 5 splits")
    ax.axhline(1 / 6, color="k", ls=":", label="chance")
    ax.set(title=name, xlabel="noise on the face (sd)", ylim=(0, 0.85))
axes[0].set(ylabel="accuracy, emotion")
axes[1].legend(loc="upper right")
fig.suptitle("Robustness curves of three systems; grey: the splits of seeds 0 to 4")
plt.show()

# %% [markdown]
# ## Four summaries of a curve
#
# Let $f_s$ be the score of a system at the levels $s = 0, \dots, S$, and $b_s$ that of a baseline. Level 0 is clean. Four
# numbers are in use:
#
# | summary | definition | function |
# |---|---|---|
# | mean of the curve | area under $f$, divided by the range of the levels | `auc_robustness` |
# | drop | $f_0 - f_S$ | `drop` |
# | gain under noise | $f_S - b_S$ | `gain_under_noise` |
# | effective robustness | $\sum_s \bigl( f_s - b_s - (f_0 - b_0) \bigr)$ | `effective_vs_baseline` |
#
# The effective robustness subtracts the lead that $f$ had on clean inputs.
#
# By hand, with three levels 0, 1 and 2, $f = (0.8, 0.6, 0.5)$ and $b = (0.7, 0.6, 0.3)$:
#
# * The area under $f$ is $0.7 + 0.55 = 1.25$ by trapezoids, and the mean of the curve is $1.25 / 2 = 0.625$.
# * The drop is $0.3$.
# * The gain under noise is $0.5 - 0.3 = 0.2$.
# * The leads at the three levels are $0.1$, $0$ and $0.2$. Minus the clean lead of $0.1$ they are $0$, $-0.1$ and $0.1$, so the
#   effective robustness is $0$.
#
# So the summaries can contradict each other: the gain under noise is in favour of $f$, and the effective robustness is 0.

# %%
f, b = np.array([0.8, 0.6, 0.5]), np.array([0.7, 0.6, 0.3])
np.testing.assert_allclose([auc_robustness(f, [0, 1, 2]), drop(f)], [0.625, 0.3])
np.testing.assert_allclose([gain_under_noise(f, b), effective_vs_baseline(f, b)], [0.2, 0], atol=1e-12)

# %% [markdown]
# Paper 000 prints the gain under noise. From its own numbers, clean and at $\sigma = 2$, the effective robustness follows:

# %%
published, published_baseline = np.array([43.974, 41.164]), np.array([42.503, 37.563])
gain = gain_under_noise(published, published_baseline)
effective = effective_vs_baseline(published, published_baseline)
print(f"paper 000: gain under noise {gain:+.2f}, effective robustness {effective:+.2f}")
# Lesson 1: of the published +3.6 points, 2.13 are robustness; the rest was there on clean inputs.
np.testing.assert_allclose(gain, 3.601, atol=1e-9)
np.testing.assert_allclose(effective, 2.130, atol=1e-9)

# %% [markdown]
# The curves of this page: noise costs all three systems more than 10 points. Paper 000 argues against plain concatenation. Here
# it is ahead of the gated system at every level.

# %%
for name, curve in curves.items():
    mean, lost = auc_robustness(curve, SIGMAS), drop(curve)
    print(f"here, {name:13s}: mean of the curve {mean.mean():.3f}, drop {lost.mean():.3f} +- {lost.std(ddof=1):.3f}")
# Lesson 2: noise breaks all three. The plain concatenation, against which paper 000 argues, is ahead at every level here.
assert all(drop(curve).mean() > 0.1 for curve in curves.values())
assert (curves["concatenation"].mean(0) > curves["gated"].mean(0)).all()

# %% [markdown]
# ## Seeds on one corpus are not independent
#
# Is a difference between two systems real, or is it the luck of a few splits? Let $e_i$ be the *effect* with seed $i$ of $n$:
# the score of one system minus that of the other. Let $\bar e$ be the mean of the effects and $\hat\sigma$ their standard
# deviation.
#
# If the effects were independent, $\bar e$ would have the variance $\hat\sigma^2 / n$. They are not: every split draws from the
# *same* 24 speakers.
#
# **The variance of the mean.** Let each effect have the variance $\sigma^2$, and any two of them the correlation $\rho$. The
# variance of their sum has $n$ variances and $n (n - 1)$ covariances:
#
# $$\operatorname{Var}(\bar e) = \frac{1}{n^2} \bigl( n\, \sigma^2 + n (n-1)\, \rho\, \sigma^2 \bigr) .$$
#
# **The variance that we see.** Effects with a positive correlation lie closer together than independent ones, so
# $\hat\sigma^2$ is too small (question 3):
#
# $$\mathrm{E}[\hat\sigma^2] = (1 - \rho)\, \sigma^2 .$$
#
# **Together.** $\sigma^2$ is not known. Expressed by $\hat\sigma^2$,
#
# $$\operatorname{Var}(\bar e) = \mathrm{E}[\hat\sigma^2] \Bigl( \frac1n + \frac{\rho}{1 - \rho} \Bigr) .$$
#
# By hand, $n = 2$, $\rho = \frac12$ and $\sigma^2 = 1$: $\operatorname{Var}(\bar e) = \frac14 (2 + 1) = \frac34$. We see
# $\mathrm{E}[\hat\sigma^2] = \frac12$, and the formula gives $\frac12 (\frac12 + 1) = \frac34$, too. Without the correlation we
# would have taken $\frac12 \cdot \frac12 = \frac14$, a third of it.

# %%
n, rho, variance = 2, 1 / 2, 1.0
assert (n + n * (n - 1) * rho) * variance / n**2 == (1 - rho) * variance * (1 / n + rho / (1 - rho)) == 3 / 4

# %% [markdown]
# **The correlation.** Nadeau and Bengio (2003) take for $\rho$ the share of clips that are tested. Then $\rho / (1 - \rho)$ is
# the number of clips tested per clip trained on. `paired_test` has it as `test_per_train`.
#
# **A simulation.** Two systems are *equally good*: the difference of their scores on a speaker is pure chance. There are 24
# speakers, and each of 20 seeds tests 6 of them. A test at 5 % should report an effect in 5 % of such worlds.

# %%
rng = np.random.default_rng(0)
plain_alarms, corrected_alarms = [], []
for _ in range(300):
    speakers = rng.normal(size=24)  # one corpus: the difference of the scores on each speaker
    effects = [speakers[rng.permutation(24)[:6]].mean() for _ in range(20)]
    plain_alarms.append(paired_test(effects)["p"] < 0.05)
    corrected_alarms.append(paired_test(effects, test_per_train=6 / 18)["p"] < 0.05)
plain, corrected = np.mean(plain_alarms), np.mean(corrected_alarms)
print(f"no effect, but significant: plain t-test {plain:.0%}, corrected {corrected:.0%} of 300 worlds")
# Lesson 3: with 20 seeds on one corpus, the plain paired t-test reports an effect that is not there several times too often.
assert plain > 0.15 and corrected < 0.1

# %% [markdown]
# ## The smallest detectable effect
#
# More seeds do not help for long. As $n$ grows, $1/n$ vanishes, but the standard error stays above
# $\hat\sigma \sqrt{\rho / (1 - \rho)}$. Only more speakers make it smaller.
#
# By hand, for the splits of this page: a quarter of the clips is tested. Of the other three quarters, 15 % are the development
# set, and 85 % are trained on. So `test_per_train` is $0.25 / (0.75 \cdot 0.85) = 0.39$. The standard error with 5 seeds is
# $\hat\sigma \sqrt{0.2 + 0.39} = 0.77\, \hat\sigma$. With any number of seeds it is above $0.63\, \hat\sigma$.

# %%
TEST_PER_TRAIN = 0.25 / (0.75 * 0.85)
np.testing.assert_allclose(np.sqrt([1 / 5 + TEST_PER_TRAIN, TEST_PER_TRAIN]), [0.77, 0.63], atol=0.005)

# %% [markdown]
# So before we ask whether the gate helps, we ask which effect we could have found. `detectable_effect` returns the true effect
# that the test would find in 80 % of repetitions of the experiment. It depends on $\hat\sigma$, on the number of seeds and on
# `test_per_train`. Here $\hat\sigma$ is that of the gate's effect at $\sigma = 2$, gated minus ungated.

# %%
gate_effects = curves["gated"][:, 2] - curves["ungated"][:, 2]  # at sigma = 2
sd = gate_effects.std(ddof=1)
seeds = np.array([3, 5, 10, 20, 50, 100])

fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
for ratio, label in ((0.0, "if splits were independent (they are not)"), (TEST_PER_TRAIN, "splits of one corpus")):
    points = [100 * detectable_effect(sd, n, ratio) for n in seeds]
    ax.semilogx(seeds, points, "o-", label=label)
ax.axhline(3.6, color="k", ls=":", label="published: +3.6 points")
ax.set(xlabel="number of seeds", ylabel="points of accuracy", ylim=(0, None))
ax.set_title("Smallest detectable effect of the gate, sd of 5 splits (seeds 0 to 4)")
ax.set_xticks(seeds, seeds)
ax.legend()
plt.show()

# %% [markdown]
# With five seeds on 24 speakers, the published effect of 3.6 points is smaller than the detectable one. The test would miss it
# in more than a fifth of repetitions. That holds whether the gate has such an effect here or not.

# %%
detectable = detectable_effect(sd, SEEDS, TEST_PER_TRAIN)
p = paired_test(gate_effects, TEST_PER_TRAIN)["p"]
print(f"gate at sigma 2: {gate_effects.mean():+.3f}, p = {p:.2f}; detectable: {detectable:.3f}")
# Lesson 4: an effect of the published size is too small for five seeds on 24 speakers, whether it exists here or not.
assert detectable > 0.036

# %% [markdown]
# ## Verdicts on a claim
#
# A claim has a direction: the effect is *greater* than 0, *less* than 0, or *equal* to 0. It also has a *margin*, the smallest
# effect that would matter. `verdicts` answers with one of three words:
#
# * *holds*, if a corrected one-sided test finds p < .05 in the claimed direction *and* the mean lies beyond the margin;
# * *reversed*, if the same is true in the other direction;
# * *undecided* otherwise.
#
# With each verdict it returns `detectable`, the smallest true effect that would be found in 80 % of repetitions.
#
# A claim of equality holds if the tests show that the mean lies within the margin. If several contrasts belong to a claim, the
# p-values are adjusted for their number (Holm).
#
# By hand, three effects $(0.03, 0.04, 0.05)$ and a margin of 0.01: the mean is 0.04, $\hat\sigma = 0.01$, and the standard
# error is $0.01 \sqrt{1/3 + 0.39} = 0.0085$. So $t = 4.7$. With two degrees of freedom, p < .05 needs $t > 2.92$. The claim
# holds. With $(0, 0.04, 0.08)$ the mean is the same, but $\hat\sigma = 0.04$ and $t = 1.2$: undecided.

# %%
close, wide = [0.03, 0.04, 0.05], [0.0, 0.04, 0.08]
assert round(paired_test(close, TEST_PER_TRAIN)["t"], 1) == 4.7 and round(paired_test(wide, TEST_PER_TRAIN)["t"], 1) == 1.2
assert verdicts({"": close}, 0.01, "greater", TEST_PER_TRAIN)[""]["verdict"] == "holds"
assert verdicts({"": wide}, 0.01, "greater", TEST_PER_TRAIN)[""]["verdict"] == "undecided"

# %% [markdown]
# ## Seven claims of five papers
#
# Three claims are of paper 000, and their effects are computed above. The other four papers get three seeds and two or three
# epochs each. That is enough to find large effects, and unfair to small ones. `refmer claims` runs the whole table, longer.
#
# | claim | effect of a seed | claimed |
# |---|---|---|
# | 000: the gate helps at $\sigma = 2$ | accuracy: gated minus ungated | greater |
# | 000: the gate falls when noise comes | mean gate of the face: noisy minus clean | less |
# | 000: the gate falls under a hand | mean gate of the face: under a hand minus clean | less |
# | 001: a covered face loses weight | mean weight of the face: under a hand minus clean | less |
# | 002: half the face missing costs less than 1 point | score: half of the frames missing minus clean | equal |
# | 003: a hand costs valence most | concordance lost: valence minus arousal | greater |
# | 004: 90 to 100 % missing costs less than 5 points | score at 90 % minus score at 100 % minus 0.05 | less |
#
# The margin is 0.01, and 0 for the last claim, whose effect contains its 5 points.


# %%
def weight_lost(seed):
    """Return the effect of the claim of paper 001."""
    train, test = split_by_speaker(clips, seed)
    hand = with_hand(test, train[:40], seed)
    model = train_on("of_cmaer_cat", train, seed, 2)
    visual = model.config_.modalities.index("visual")
    change = model.explain(hand)["weights"] - model.explain(test)["weights"]
    return change[:, visual].mean()


def half_missing(seed):
    """Return the effect of the claim of paper 002."""
    train, test = split_by_speaker(features, seed)
    half = refmer.corrupt(test, "face", "missing", 0.5, seed=seed)
    model = train_on("auxformer", train, seed, 3)
    return model.score(half) - model.score(test)


def valence_lost(seed):
    """Return the effect of the claim of paper 003."""
    train, test = split_by_speaker(recordings, seed)
    hand = with_hand(test, train, seed)
    model = train_on("tlab_jca", train, seed, 2)
    before = model.scores(model.predict(test), test)
    after = model.scores(model.predict(hand), hand)
    lost_valence = before["ccc_valence"] - after["ccc_valence"]
    lost_arousal = before["ccc_arousal"] - after["ccc_arousal"]
    return lost_valence - lost_arousal


def last_tenth_missing(seed):
    """Return the effect of the claim of paper 004."""
    train, test = split_by_speaker(features, seed)
    most = refmer.corrupt(test, "face", "missing", 0.9, seed=seed)
    whole = refmer.corrupt(test, "face", "missing", 1.0, seed=seed)
    model = train_on("raver", train, seed, 3, "emotion")
    return model.score(most) - model.score(whole) - 0.05


weight = [weight_lost(seed) for seed in range(3)]
half = [half_missing(seed) for seed in range(3)]
valence = [valence_lost(seed) for seed in range(3)]
last_tenth = [last_tenth_missing(seed) for seed in range(3)]

# %%
claims = {  # effects by seed, margin, claimed direction
    "000: the gate helps at sigma 2": (gate_effects, 0.01, "greater"),
    "000: the gate falls when noise comes": (gate[:, 1] - gate[:, 0], 0.01, "less"),
    "000: the gate falls under a hand": (gate[:, 2] - gate[:, 0], 0.01, "less"),
    "001: a covered face loses weight": (weight, 0.01, "less"),
    "002: half the face missing costs < 1 point": (half, 0.01, "equal"),
    "003: a hand costs valence most": (valence, 0.01, "greater"),
    "004: 90 to 100 % missing costs < 5 points": (last_tenth, 0.0, "less"),
}
table = {}
for claim, (effects, margin, direction) in claims.items():
    table[claim] = verdicts({"": effects}, margin, direction, TEST_PER_TRAIN)[""]
for claim, result in table.items():
    mean, detectable = result["effect"]["mean"], result["detectable"] or 0
    print(f"{claim:42s} {mean:+.3f}, detectable {detectable:.3f}: {result['verdict']}")

# %% [markdown]
# The intervals in the figure are two-sided. A bar can touch 0 and still belong to a verdict, which comes from a one-sided test.

# %%
fig, ax = plt.subplots(figsize=(9.5, 4), layout="constrained")
colours = {"holds": "C2", "reversed": "C3", "undecided": "0.6"}
for row, (claim, result) in enumerate(table.items()):
    colour, effects = colours[result["verdict"]], claims[claim][0]
    ax.plot(np.clip(result["interval"], -0.8, 0.8), [row, row], color=colour, lw=3)
    ax.plot(effects, [row] * len(effects), "k.", ms=4)
    ax.text(0.84, row, result["verdict"], va="center", color=colour)
ax.axvline(0, color="k", lw=0.8)
ax.set_yticks(range(len(table)), [f"{claim}  [{direction}]" for claim, (_, _, direction) in claims.items()])
ax.set(xlabel="effect of each seed (dots) and 95 % interval of the mean (cut at 0.8)", xlim=(-0.8, 1.2), ylim=(6.5, -0.5))
fig.suptitle("Verdicts on seven claims; seeds 0 to 4 for paper 000, 0 to 2 for the others")
plt.show()

# %% [markdown]
# **The gate.** In all five splits the gate of the face is smaller under a hand than on a clean face. But it is *larger* on a
# noisy face than on a clean one, by a small difference; the verdict on noise is undecided. The loss of this training does not
# depend on which input is reliable.

# %%
# Lesson 5: the gate falls under a hand, but rises with noise: its training had no loss on the reliability of an input.
assert (gate[:, 2] < gate[:, 0]).all() and (gate[:, 1] > gate[:, 0]).all()

# %% [markdown]
# **The last tenth.** With nine tenths of the face missing, RAVER still recognizes emotions. If the last tenth is missing, too,
# it loses far more than 5 points. The curve has a cliff between 90 and 100 %.

# %%
# Lesson 6: nine tenths of the face may go; the last tenth costs far more than 5 points. That is a cliff.
assert np.mean(last_tenth) > 0.05

# %% [markdown]
# **The other claims.** Most of the seven stay undecided. That is a result, too: their effects are smaller than what three or
# five seeds on one small corpus can detect.

# %%
# Lesson 7: most lines stay undecided. That is the finding.
assert sum(result["verdict"] == "undecided" for result in table.values()) >= 3

# %% [markdown]
# An undecided claim is not a wrong one. And a verdict of this page is about a mechanism in a tiny system, hardly trained, on a
# synthetic corpus. It is not about the published number.
#
# The method can be carried over to other experiments: paired effects, a correction for overlapping splits, a margin, and the
# smallest effect that could have been found.
#
# ## On your own
#
# 1. With twenty contrasts and no effect anywhere, how often does at least one of them come out at p < .05?
# 2. How many points would 100 seeds detect, and why hardly fewer than 20?
# 3. Derive $\mathrm{E}[\hat\sigma^2] = (1 - \rho)\, \sigma^2$.

# %% tags=["hide-cell"]
# Solution 1: in 1 - .95^20 = 64 % of papers, if they are independent. Therefore Holm: give `verdicts` all contrasts of a claim.
papers = rng.normal(size=(100, 20, 5))  # 100 papers, 20 contrasts, 5 independent seeds
alarms = [any(paired_test(effects)["p"] < 0.05 for effects in paper) for paper in papers]
alarms_with_holm = []
for paper in papers[:30]:
    results = verdicts(dict(enumerate(paper)), 0.0)
    alarms_with_holm.append(any(result["verdict"] == "holds" for result in results.values()))
print(f"twenty contrasts, no effect: p < .05 in {np.mean(alarms):.0%} of papers, with Holm in {np.mean(alarms_with_holm):.0%}")
assert np.mean(alarms) > 0.4 and np.mean(alarms_with_holm) < 0.25
# Solution 2: at best c sd sqrt(rho / (1 - rho)), with c near 2.5; the term 1/n is already small at 20.
assert detectable_effect(sd, 100, TEST_PER_TRAIN) > 0.85 * detectable_effect(sd, 20, TEST_PER_TRAIN)
# Solution 3: n sigma^2 is the expected sum of squares, n Var(mean) goes to the mean; their difference, over n - 1, is it.
n, rho = 20, 0.25
np.testing.assert_allclose((n - n * (1 + (n - 1) * rho) / n) / (n - 1), 1 - rho)
