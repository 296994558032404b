"""An independent solution of exercise 16, with its mistakes, and the rest of the forward from each stage."""

import numpy as np


def log_softmax(x):
    top = x.real.max(1)[:, None]
    # mistake[overflow]: top = np.zeros((len(x), 1))
    return x - top - np.log(np.exp(x - top).sum(1))[:, None]


def our_loss(main, voice, face, y):
    networks = [main, voice, face]
    # mistake[loss of mean]: networks = [(main + voice + face) / 3]
    return -np.mean([(log_softmax(x)[y > 0]).mean() for x in networks])


def our_loss_backward(main, voice, face, y):
    count = 3 * len(y)
    # mistake[no third]: count = len(y)
    # mistake[slope not over B]: count = 3
    return tuple((np.exp(log_softmax(x)) - y) / count for x in (main, voice, face))


def stages_of_our_loss_backward(main, voice, face, y):
    def loss(main=main, voice=voice, face=face):
        return -sum((y * log_softmax(x)).sum() for x in (main, voice, face)) / (3 * len(y))

    return {
        "dmain": (main, lambda x: loss(main=x)),
        "dvoice": (voice, lambda x: loss(voice=x)),
        "dface": (face, lambda x: loss(face=x)),
    }


def our_modality_dropout(voice, face, order, offset, rate):
    B = len(voice)
    has_voice, has_face = np.ones(B, bool), np.ones(B, bool)
    new_voice, new_face = voice.copy(), face.copy()
    for b in range(B):
        u = (order[b] + offset) / B
        # mistake[order unused]: u = (b + offset) / B
        # mistake[offset unused]: u = order[b] / B
        lost = "voice" if u < rate else "face" if u < 2 * rate else ""
        # mistake[end of the share]: lost = "voice" if u <= rate else "face" if u < 2 * rate else ""
        # mistake[modalities exchanged]: lost = "face" if u < rate else "voice" if u < 2 * rate else ""
        # mistake[overlap]: lost = "voice and face" if u < rate else "face" if u < 2 * rate else ""
        if "voice" in lost:
            has_voice[b] = False
            new_voice[b] = 0
        if "face" in lost:
            has_face[b] = False
            new_face[b] = 0
            # mistake[times 0]: new_face[b] *= 0
    return has_voice, has_face, new_voice, new_face


def our_plateau_rates(losses, lr, factor, every):
    rates, since = [lr], 0
    for n in range(len(losses)):
        best = min(losses[:n], default=np.inf)
        # mistake[epoch before]: best = losses[n - 1] if n else np.inf
        since = 0 if losses[n] < best else since + 1
        # mistake[equal is lower]: since = 0 if losses[n] <= best else since + 1
        drops = since == every + 1
        # mistake[one epoch early]: drops = since >= every
        # mistake[count goes on]: drops = since > every
        rates.append(rates[-1] * factor if drops else rates[-1])
        since = 0 if drops else since
        # mistake[count goes on]: since = since + 0
    return np.array(rates[:-1])
    # mistake[rate of the next epoch]: return np.array(rates[1:])
