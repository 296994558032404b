"""The table of published sizes."""

import io
import json

from refmer.experiments.sizes import main, sizes

# parameters, multiply-accumulates and bytes, from formulas that were written by hand for each system
TABLE = {
    "openface_adaptive": (1_962_503, 5_496_000, 7_958_508),
    "openface_adaptive@d192": (3_086_663, 8_686_080, 12_469_740),
    "of_cmaer_cat": (1_097_861, 2_309_286_784, 59_199_732),
    "of_cmaer_cat@text": (1_197_701, 1_675_422_592, 31_056_500),
    "auxformer": (7_054_748, 1_421_186_584, 89_492_528),
    "auxformer@k6": (7_055_532, 1_421_187_624, 89_495_688),
    "auxformer@no-audio-conv": (7_037_848, 1_418_516_384, 89_342_768),
    "tlab_jca": (17_245_619, 548_210_192, 78_723_084),
    "tlab_jca@code": (26_971_763, 719_914_512, 122_845_964),
    "raver": (362_956_575, 47_648_744_960, 1_656_173_716),
    "raver@out": (367_150_879, 47_652_939_264, 1_672_950_932),
    "raver@ff2048": (262_244_127, 34_763_843_072, 1_228_158_100),
    "concatenation": (140_167, 140_032, 565_556),
    "late_fusion": (142_229, 141_824, 574_884),
    "tfn": (18_244_519, 23_502_432, 74_263_384),
    "lmf": (267_387, 5_525_344, 2_354_652),
    "lf_rnn": (806_407, 238_130_048, 9_834_968),
    "mult": (358_384, 51_661_320, 11_073_056),
    "mult@d160-k6": (7_070_406, 859_758_080, 55_688_512),
    "auxformer_baseline1": (4_776_994, 589_009_720, 43_678_296),
    "auxformer_baseline1@k6": (4_777_516, 589_010_240, 43_680_392),
    "parthasarathy": (2_731_568, 342_439_760, 26_176_352),
    "unimodal": (2_844_823, 379_025_432, 25_193_460),
    "unimodal@audio": (2_329_243, 773_596_752, 45_889_156),
    "jca": (216_322, 6_623_232, 1_324_168),
    "jca@repository": (314_626, 8_196_096, 1_717_384),
    "leader_follower": (1_093_026, 326_956_800, 7_734_504),
    "sfav": (639_880, 41_570_816, 3_609_024),
    "sfav@intermediate": (474_888, 26_963_456, 2_686_400),
    "sfav@attention": (391_304, 19_659_776, 2_001_856),
    "vavl": (50_107_922, 9_953_753_600, 270_341_776),
    "transformer_lstm": (5_066_758, 535_348_736, 29_252_656),
}


def test_every_size_is_what_the_formulas_gave():
    assert {label: (s["parameters"], s["macs"], s["memory_bytes"]) for label, s in sizes().items()} == TABLE


def test_exact_counts_and_their_parts():
    result = sizes()
    assert result["openface_adaptive"]["parameters"] == result["openface_adaptive"]["published"] == 1_962_503
    for label, size in result.items():
        assert sum(size["parts"].values()) == size["parameters"], label
        assert size["macs"] > 0 and size["memory_bytes"] > 4 * size["parameters"]


def test_table_and_json_say_the_same():
    text, data = io.StringIO(), io.StringIO()
    main(out=text)
    main(as_json=True, out=data)
    assert json.loads(data.getvalue()) == sizes()
    for label, size in sizes().items():
        (line,) = [line for line in text.getvalue().splitlines() if line.startswith(f"| {label} ")]
        assert f"{size['parameters']:,}" in line
