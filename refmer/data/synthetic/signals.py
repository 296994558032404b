"""Signals and labels of one synthetic clip or recording: emotions, their expression by each sense, streams, ratings."""

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.stats import norm

from refmer.data.clips import EMOTIONS
from refmer.data.labels import plurality
from refmer.data.noise import gauss_markov, generator
from refmer.data.openface import FACE_RATE
from refmer.data.synthetic import face, raters, voice, words

CLIP_SECONDS = (0.6, 5.0)
RECORDING_SECONDS = (12.0, 24.0)
BODY_RATE = 4  # Hz
LAG = (0.12, 0.08)  # seconds by which the face leads the sound: mean and standard deviation over clips
#                  valence, arousal of the emotions, after Russell (1980)
AFFECT = np.array(((-0.6, 0.7), (-0.65, 0.25), (-0.55, 0.75), (0.8, 0.5), (0.0, 0.0), (-0.6, -0.5)))
RATER_SD = 0.5  # of one rater of sentiment
REACH = 0.35  # width of an emotion's neighbourhood in that plane


def act_clip(name, speaker, emotion, take, seed, duration, drawn):
    """Return one acted clip as a dict of signals, labels and truth.   drawn: with frames."""
    rng = generator(seed, name)
    T = draw_length(rng, duration)
    shown = raters.draw_shown(seed, speaker, emotion, take)
    show = [np.outer(apex(rng, T), np.eye(len(EMOTIONS))[k]) for k in shown]
    tone = np.full(words.length(T / FACE_RATE), rng.uniform(-3.3, 3.3))  # independent of the emotion
    signals, lag = signal(rng, seed, "clips", speaker, show, np.mean(show, 0) @ AFFECT[:, 1], tone, drawn)
    votes = rng.multinomial(raters.RATERS, raters.rater_shares()[emotion, shown[0], shown[1]])
    labels = {
        "speaker": f"s{speaker:02d}",
        "intended": emotion,
        "votes": votes,
        "emotion": plurality(votes, np.array(emotion)),
        "sentiment": rate_sentiment(rng, words.tone(signals["sentence"]), *AFFECT[list(shown), 0]),
    }
    truth = {"lag": lag, "shown_voice": shown[0], "shown_face": shown[1], "sentence": " ".join(signals["sentence"])}
    return {**signals, "labels": labels, "truth": truth}


def act_recording(name, speaker, seed, duration, drawn):
    """Return one recording as a dict: a random walk of valence and arousal, its expression, and its annotation.

    drawn: with frames.
    """
    rng = generator(seed, name)
    T = draw_length(rng, duration)
    felt = np.tanh(rng.normal(0, 0.35, 2) + 0.9 * gaussian_filter1d(gauss_markov(rng, T, 2, 4.0, FACE_RATE), 15, axis=0))
    near = np.exp(-((felt[:, None] - AFFECT) ** 2).sum(-1) / (2 * REACH**2))  # (T, 6)
    show = 1.2 * near / near.sum(1, keepdims=True)
    at = np.linspace(0, T - 1, words.length(T / FACE_RATE)).astype(int)
    signals, lag = signal(rng, seed, "recordings", speaker, (show, show), felt[:, 1], 3 * felt[at, 0], drawn)
    truth = {"lag": lag, "sentence": " ".join(signals["sentence"])}
    return {**signals, "felt": felt, "affect": annotate(rng, felt), "labels": {"speaker": f"r{speaker:02d}"}, "truth": truth}


def draw_length(rng, duration):
    """Draw the number of face frames of one clip; most clips are closer to the shortest than to the longest."""
    low, high = duration
    return int(np.clip(np.rint((low + (high - low) * rng.beta(2.2, 3.6)) * FACE_RATE), low * FACE_RATE, high * FACE_RATE))


def apex(rng, T):
    """Return the intensity (T,) of an expression: it rises within about 0.4 s, stays, and falls slowly."""
    t = np.arange(T) / FACE_RATE
    rise = np.clip((t + 0.1) / rng.uniform(0.2, 0.5), 0.3, 1)
    return np.exp(rng.normal(0, 0.1)) * rise * (1 - 0.2 * t / t[-1])


def signal(rng, seed, corpus, speaker, show, arousal, tone, drawn):
    """Return all signals of one clip, with frames if they are to be `drawn`, and its lag (s).

    show: intensities of the emotions in voice and face, two arrays (T, 6); arousal (T,); tone (words,): valence of the words.
    """
    T = len(arousal)
    lag = rng.normal(*LAG)
    wave, opening = voice.speak(rng, voice.make_speaker(seed, corpus, speaker), show[0])
    sounding = (np.arange(T) + 0.5) / FACE_RATE + lag  # the mouth leads the sound by `lag`
    mouth = np.interp(sounding, np.arange(len(opening)) / voice.CONTROL, opening, left=0, right=0)
    person = face.make_person(seed, corpus, speaker)
    motion = face.move(rng, person, show[1], mouth)
    sentence = words.write(rng, tone)
    frames = {"frames": face.draw(person, *motion)} if drawn else {}
    return frames | {
        "wave": wave.astype(np.float32),
        "units": face.track(rng, *motion).astype(np.float32),
        "words": words.vectors(sentence).astype(np.float32),
        "body": body(rng, seed, corpus, speaker, arousal).astype(np.float32),
        "sentence": sentence,
    }, lag


def body(rng, seed, corpus, speaker, arousal):
    """Return skin conductance (microsiemens) and heart rate (beats per minute) at 4 Hz (T', 2), weakly moved by arousal."""
    habit = generator(seed, corpus + " body", speaker)
    level, beats = habit.lognormal(1.5, 0.4), habit.normal(72, 8)
    seconds = len(arousal) / FACE_RATE
    t = (np.arange(max(int(seconds * BODY_RATE), 1)) + 0.5) / BODY_RATE
    felt = np.interp(t, np.arange(len(arousal)) / FACE_RATE, arousal)
    responses = rng.poisson(np.clip(0.15 + 0.25 * felt, 0.02, 1) / BODY_RATE) * rng.uniform(0.2, 0.8, len(t))
    age = np.arange(0, 12, 1 / BODY_RATE)
    response = np.exp(-age / 3) - np.exp(-age / 0.7)  # a skin response rises in a second and decays in several
    skin = level + 0.3 * felt + np.convolve(responses, response)[: len(t)] + 0.02 * rng.standard_normal(len(t))
    breath = 2.5 * np.sin(2 * np.pi * (0.25 * t + rng.random()))  # the heart beats faster during inhalation
    return np.stack([skin, beats + 6 * felt + breath + 3 * gauss_markov(rng, len(t), 1, 4.0, BODY_RATE)[:, 0]], axis=1)


def rate_sentiment(rng, tone, voice_valence, face_valence):
    """Return the mean of three raters' whole numbers from -3 to 3."""
    return np.clip(np.rint(feeling(tone, voice_valence, face_valence) + rng.normal(0, RATER_SD, 3)), -3, 3).mean()


def feeling(tone, voice_valence, face_valence):
    """Return the sentiment before a rater's error, mostly that of the words, less of face and voice."""
    return 0.85 * tone + 1.3 * face_valence + 0.8 * voice_valence + 0.4


def sentiment_ceiling(truth):
    """Return the accuracy of the best guess of the level of sentiment from the words and from what voice and face show.

    truth: of clips, `Clips.truth`. The best guess misses what the raters add: the mean over clips of the largest probability.
    """
    tone = np.array([words.tone(sentence.split()) for sentence in truth["sentence"]])
    rating = np.arange(-3, 4)
    edge = norm.cdf((rating[:-1] + 0.5 - feeling(tone, *valences(truth))[:, None]) / RATER_SD)  # (N, 6)
    p = np.diff(edge, axis=1, prepend=0, append=1)  # (N, 7) of one rater
    level = np.round(np.add.outer(np.add.outer(rating, rating), rating) / 3).astype(int) + 3  # of three raters
    three = np.einsum("na,nb,nc->nabc", p, p, p).reshape(len(p), -1)
    return float((three @ np.eye(7)[level.ravel()]).max(1).mean())


def valences(truth):
    """Return the valence of what the voice and what the face shows, each (N,)."""
    return (AFFECT[truth[f"shown_{sense}"], 0] for sense in ("voice", "face"))


def annotate(rng, felt, annotators=4):
    """Return the mean of annotators (T, 2) in [-1, 1], each with a delay, a gain, a bias and noise."""
    T = len(felt)
    marks = []
    for _ in range(annotators):
        late = np.maximum(np.arange(T) - int(max(rng.normal(0.4, 0.15), 0) * FACE_RATE), 0)
        marks.append(felt[late] * rng.normal(1, 0.1) + rng.normal(0, 0.08, 2) + 0.1 * gauss_markov(rng, T, 2, 1.5, FACE_RATE))
    return np.clip(np.mean(marks, axis=0), -1, 1)
