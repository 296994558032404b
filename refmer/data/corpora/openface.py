"""A folder of CSV files that OpenFace 2 wrote (Baltrusaitis et al. 2018)."""

from refmer.data.corpora.tables import data_files
from refmer.data.read_clips import clips_of


def read(path, *, columns="units", speaker=None, **options):
    """Read the faces of clips, a file of OpenFace each.

    OpenFace is free for research (github.com/TadasBaltrusaitis/OpenFace): `FeatureExtraction -f clip.mp4 -out_dir DIR` writes
    DIR/clip.csv, with the columns frame, face_id, timestamp, confidence, success, gaze_., eye_lmk_., pose_., x_., y_., X_.,
    Y_., Z_., p_., AUnn_r and AUnn_c. Files may lack some, and lie at any depth of the folder.

    Parameters
    ----------
    path : path
        A folder or a file.
    columns : {"units", "all", "paper"}
        "units": action units, pose and gaze (49 features). "all": also landmarks and shape (709). "paper": 713, the width in
        paper 000: also face_id, timestamp, confidence and success. A file has 714 columns; CMU-MOSEI's, which the paper takes,
        are 713, and do not say which is left out: here the number of the frame.
    speaker : callable, optional
        Function of a clip's name. Default: each clip is its own speaker.
    **options
        Of `refmer.read_clips`: jobs, seconds, confidence, face, rate.

    Returns
    -------
    Clips
        Stream "units" (face) at 25 Hz, masked where no face is seen; no labels.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such folder, or no clip in it can be read. Single clips that cannot be are named in a warning.
    """
    files = data_files(path, (".csv",))
    speakers = {name: speaker(name) if callable(speaker) else name for name in files}
    return clips_of(
        {k: {"openface_csv": file} for k, file in files.items()}, speakers, f"OpenFace, {path}", columns=columns, **options
    )
