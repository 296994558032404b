"""AuxFormer: auxiliary networks when a modality is gone, and optimized training, beside networks without either."""

import numpy as np

from refmer.experiments import style
from refmer.experiments.claims.contrasts import difference
from refmer.experiments.claims.measures import CONDITIONS, disturb
from refmer.experiments.style import COLOURS

FULL, STANDARD, ALONE = "auxformer", "auxformer, standard training", "auxformer, main loss alone"
ROWS = {
    FULL: ("auxformer", {}),
    STANDARD: ("auxformer", {"training": "standard"}),
    ALONE: ("auxformer", {"weights": (1.0, 0.0, 0.0)}),
}
GONE = {"clean": "clean", "no face": "face lost 1", "no voice": "voice lost 1"}
HEADS = {"logits": "mean of three", "av": "main network", "audio": "auxiliary, voice", "visual": "auxiliary, face"}
NOTE = """\
The auxiliary networks see one modality each, and the answer is the mean of three networks. With a modality gone they should
carry the answer: against the main network of the same model, and against a model that was trained with the main loss alone (its
answer is its main network). Optimized training hides a modality in part of each batch; standard training does not."""
AUXILIARY = {"mean of three - main network": (FULL, "av"), "with - without auxiliary losses": (ALONE, "av")}
NUMBERS = {
    f"{at}: {text}": (difference, ((FULL, f"{at} logits"), (row, f"{at} {head}")))
    for text, (row, head) in AUXILIARY.items()
    for at in ("no face", "no voice")
} | {f"{at}: optimized - standard training": (difference, ((FULL, f"{at} logits"), (STANDARD, f"{at} logits"))) for at in GONE}


def measure(model, train, test, seed):
    """Accuracy of the answer and of each network, whole and with a modality gone."""
    truth, numbers = model.labels(test).targets, {}
    for name, condition in GONE.items():
        out = model.outputs(disturb(test, CONDITIONS[condition], train, seed))
        numbers |= {f"{name} {head}": float((out[head].argmax(1) == truth).mean()) for head in HEADS}
    return numbers


def draw(values, caption):
    """The four answers of the model and those of its controls, whole and with a modality gone."""
    figure, ((ax,),) = style.panels((10, 4.4))
    place = np.arange(len(GONE))
    shown = [(FULL, head, name) for head, name in HEADS.items()]
    shown += [(STANDARD, "logits", "standard training"), (ALONE, "av", "main loss alone")]
    for i, (row, head, name) in enumerate(shown):
        style.bars(ax, place + 0.14 * (i - 2.5), [values[row, f"{at} {head}"] for at in GONE], 0.13, COLOURS[i], name)
    ax.set_xticks(place, GONE)
    ax.set_ylabel("accuracy")
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.13), ncols=6, fontsize=8)
    figure.suptitle("002: accuracy of each network when a modality is missing", x=0.01, ha="left", fontweight="bold")
    figure.supxlabel(caption, fontsize=9)
    return figure
