"""Reading of clips by a recognizer: inputs and targets of its system, and the scores of its predictions."""

from dataclasses import replace

import numpy as np
from sklearn.utils.validation import check_is_fitted

from refmer.data import labels
from refmer.data.clips import checked
from refmer.data.copies import copies
from refmer.data.folder import Rows
from refmer.data.inputs import Frames, fitted, joined, step_count, sub_sequence_means, windows_of_steps
from refmer.data.scaling import check_features, standardise
from refmer.evaluate import metrics
from refmer.systems import find
from refmer.train.batches import Lazy, appended

PART = 256  # inputs that are made at a time: the copies of streams on the way take little memory


class Reader:
    """The part of a Recognizer that makes batches, with its attributes `streams_`, `scaling_`, `label_`, ..."""

    @property
    def windowed(self):
        """True for a label over time that is learned from windows, as the system gives one answer for each input."""
        return self.label_["rate"] is not None and not hasattr(self.config_, "over_time")

    def streams_of(self, clips):
        """Return the streams of clips that the system reads: {name: Stream}."""
        required = dict.fromkeys(name for names in self.streams_.values() for name in names)
        if missing := [name for name in required if name not in checked(clips).streams]:
            raise ValueError(f"{self.system} needs the streams {', '.join(required)}; these clips lack {', '.join(missing)}")
        for name in required:
            check_features(name, clips.streams[name].features, self.features_.get(name))
        return {name: clips.streams[name] for name in required}

    def steps_of(self, clips):
        """Return the number of steps of `config_.seconds` in the longest stream that is read."""
        return max(step_count(s, self.config_.seconds) for s in self.streams_of(clips).values())

    def inputs(self, streams):
        """Return the system's inputs of standardised streams {name: Frames}."""
        return find(self.system).inputs(self.by_modality(streams), self.config_)

    def by_modality(self, streams):
        """Return {modality: Frames} of streams {name: Stream or Frames}."""
        return {m: joined([streams[name] for name in names]) for m, names in self.streams_.items()}

    def batch(self, clips, rows=None):
        """Return the system's inputs of clips, standardised, and their masks; of clips on disk, a Lazy batch.

        rows: where windows are read, the numbers (clip S + step) of those of S steps that are wanted; default: all.
        """
        if len(checked(clips)) == 0:
            raise ValueError("no clips; accepted: at least one")
        streams, config = self.streams_of(clips), self.config_

        def standardised(index):
            return {k: standardise(k, s.read(index), *self.scaling_[k]) for k, s in streams.items()}

        def inputs(index):
            if not self.windowed:
                return self.inputs(standardised(index))
            S = self.steps_of(clips)
            chosen = (np.arange(len(clips) * S) if rows is None else rows)[index]
            which, at = np.unique(chosen // S, return_inverse=True)
            parts = standardised(which).items()
            return self.inputs({k: windows_of_steps(s, config.seconds, config.context, at, chosen % S) for k, s in parts})

        if any(isinstance(s.x, Rows) for s in streams.values()):
            return Lazy(inputs)
        n = self.count_of(clips) if rows is None else len(rows)
        parts = [inputs(slice(start, start + PART)) for start in range(0, n, PART)]
        return parts[0] if len(parts) == 1 else {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def labelled_batch(self, clips, train):
        """Return `batch(clips)` with `target` and, of a system that answers over time, `target_mask`.

        Of labels other than regressions, also with `class_count` (K,) of the clips `train`.
        """
        (target, mask), (known, labelled) = self._targets(clips), self._targets(train)
        count = {}
        if self.task != "regression":
            known = known if labelled is None else known[labelled]
            count["class_count"] = (labels.above_chance(known) if self.task == "votes" else known).sum(0).astype(np.float32)
        if not self.windowed:
            return self.batch(clips) | {"target": target} | ({} if mask is None else {"target_mask": mask}) | count
        rows = np.flatnonzero(mask)
        return self.batch(clips, rows) | {"target": target.reshape(-1, target.shape[-1])[rows]} | count

    def training_batch(self, clips):
        """Return the labelled batch of clips; of a system that asks for them with corrupted copies and states of sensors."""
        copied = find(self.system).copied(self.config_)
        return self._with_copies(clips, copied) if copied else self.labelled_batch(clips, clips)

    def _with_copies(self, clips, copied):
        """Return the labelled batch of clips and of copies, and NAME_state (B,) of the modalities `copied`."""
        batch = self.labelled_batch(clips, clips)
        clips, names = replace(clips, streams=self.streams_of(clips)), {m: self.streams_[m] for m in copied}
        parts = [(batch, dict.fromkeys(copied, 1.0))]
        for part, states in copies(clips, names, self.seed_, cut=not self.windowed):
            parts.append((self.labelled_batch(part, part), states))
        states = [{f"{m}_state": np.full(len(b["target"]), r, np.float32) for m, r in states.items()} for b, states in parts]
        return appended([b | of_part for (b, _), of_part in zip(parts, states, strict=True)])

    def _targets(self, clips):
        """Return the targets of training (N, K), None; of a label over time (N, S, K) and mask (N, S)."""
        label, mask = self.labels(clips), None
        if label.over_time:
            target, mask = self.over_time(label, self.steps_of(clips))
        else:
            target = labels.soft_targets(label)
        mean, sd = self.label_scaling_
        return ((target - mean) / sd).astype(np.float32) if self.task == "regression" else target, mask

    def over_time(self, label, steps):
        """Return the mean target of each step (N, S, K) and whether half of it is labelled (N, S)."""
        means = sub_sequence_means(Frames(labels.soft_targets(label), label.mask, label.rate), self.config_.seconds)
        return tuple(fitted(x, steps) for x in means)

    def labels(self, clips):
        """Return the Label of clips that predictions are compared with; ValueError if it is another one than was learned."""
        check_is_fitted(self, "config_")
        label = labels.label_of(checked(clips), self.config_.target)
        if label.describe() != self.label_:
            raise ValueError(f"the label of these clips is {label.describe()}; accepted: {self.label_}, which was learned")
        return label

    def scores(self, predictions, clips):
        """Return all scores of predictions.

        Parameters
        ----------
        predictions : array
            Predictions, as returned by `predict`.
        clips : Clips
            Labelled clips.

        Returns
        -------
        dict of str to float
            Scores by name: see `refmer.evaluate.metrics`.
        """
        label, mask = self.labels(clips), None
        if self.label_["rate"] is not None:
            label, mask = self.over_time(label, np.shape(predictions)[1])
        truth = label.targets if mask is None else label
        if self.task == "regression":
            predictions = np.reshape(predictions, truth.shape)
            return metrics.regression(truth, predictions, mask, self.class_names_)
        if mask is not None:
            truth, predictions = truth[mask], np.asarray(predictions)[mask]
            truth = truth if self.task == "votes" else truth.argmax(-1)
        if self.task == "votes":
            return metrics.votes(labels.above_chance(truth), predictions)
        if self.task == "ordinal":
            return metrics.ordinal(truth, predictions, self.class_names_, labels.lowest(self.class_names_))
        return metrics.classification(truth, predictions, self.class_names_)

    def count_of(self, clips):
        """Return the number of inputs of clips: theirs, or that of their windows."""
        return len(clips) * (self.steps_of(clips) if self.windowed else 1)

    def by_clip(self, x, clips):
        """Return x (N S, ...) of windows as (N, S, ...)."""
        return x.reshape(len(clips), -1, *x.shape[1:]) if self.windowed else x
