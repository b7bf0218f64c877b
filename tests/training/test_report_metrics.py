"""Metrics between reports, against values worked out by hand."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from medviewer.core.errors import InputRefused
from training.evaluation.report_labels import LabelRules, entities, entity_f1, label_f1, laterality_accuracy, sides
from training.evaluation.report_metrics import bleu, cider, main, measure_reports, meteor, rouge_l, words_of

NAMES = {"No Finding": "no_finding", "Cardiomegaly": "cardiomegaly", "Edema": "edema", "Consolidation": "consolidation",
         "Pneumonia": "pneumonia", "Atelectasis": "atelectasis", "Pleural Effusion": "pleural_effusion",
         "Lung Opacity": "lung_opacity"}  # fmt: skip


@pytest.fixture(scope="module")
def labeler(shared_data: Path) -> Path:
    return shared_data / "text" / "chexpert_labeler"


def test_words_are_lower_case_without_punctuation() -> None:
    assert words_of("The Spleen: 210.5 ml, (Größe)!") == ("the", "spleen", "210.5", "ml", "größe")


def test_bleu_of_papineni() -> None:
    assert bleu(["the the the the the the the"], ["the cat is on the mat"], 1) == pytest.approx(2 / 7)
    assert bleu(["the cat is on the mat"], ["the cat is on the mat"]) == 1.0
    # 3 of 3 words, 2 of 2 pairs; brevity exp(1 - 6 / 3)
    assert bleu(["the cat is"], ["the cat is on the mat"], 2) == pytest.approx(math.exp(-1))
    # counts are summed over the corpus: (2 + 1) / (2 + 2) words
    assert bleu(["a b", "c x"], ["a b", "c d"], 1) == pytest.approx(0.75)
    assert bleu(["x"], ["y"]) == 0.0
    assert bleu([""], ["y"]) == 0.0


def test_rouge_l_of_lin() -> None:
    # "police the gunman" of "police killed the gunman": 3 common of 4; of the other order 2 ("the gunman")
    assert rouge_l("police kill the gunman", "police killed the gunman") == pytest.approx(0.75)
    assert rouge_l("the gunman kill police", "police killed the gunman") == pytest.approx(0.5)
    # precision 1, recall 1/2, beta 1.2: 2.44 * 0.5 / (0.5 + 1.44)
    assert rouge_l("a b", "a b c d") == pytest.approx(2.44 * 0.5 / 1.94)
    assert rouge_l("", "a") == 0.0


def test_meteor_of_banerjee_and_lavie() -> None:
    # all 6 match in one chunk: penalty 0.5 / 216
    assert meteor("the cat sat on the mat", "the cat sat on the mat") == pytest.approx(1 - 0.5 / 216)
    # 6 matches in 2 chunks ("on the mat", "the cat sat")
    assert meteor("on the mat sat the cat", "the cat sat on the mat") == pytest.approx(1 - 0.5 * (3 / 6) ** 3)
    # 1 match of 2 and of 1: mean 10 * 0.5 / (1 + 9 * 0.5), one chunk of one match
    assert meteor("kidney large", "kidney") == pytest.approx(5 / 5.5 * 0.5)
    assert meteor("cysts", "cyst") == meteor("cyst", "cyst")  # stems
    assert meteor("hepatic", "liver") == 0.0  # no synonyms
    assert meteor("", "a") == 0.0


def test_cider_of_vedantam() -> None:
    # words held by every reference weigh nothing; each other word matches or not
    assert cider(["a b c d e", "v w x y z"], ["a b c d e", "v w x y z"]) == pytest.approx(10.0)
    assert cider(["v w x y z", "a b c d e"], ["a b c d e", "v w x y z"]) == 0.0
    # one word each: order 1 only, of 4. "q" of the candidate is in no reference and weighs log 2 as well
    assert cider(["a q", "b"], ["a", "b"]) == pytest.approx(10 / 4 * (1 / math.sqrt(2) + 1) / 2)
    assert cider(["a"], ["a"]) == 0.0


def test_labels_agree_with_those_of_the_labeler(labeler: Path) -> None:
    rules = LabelRules.from_folder(labeler)
    values = {"1.0": "positive", "0.0": "negative", "-1.0": "uncertain"}
    for row in csv.DictReader((labeler / "labeled_reports.csv").open(encoding="utf-8")):
        told = {NAMES[name]: values[value] for name, value in row.items() if name != "Reports" and value}
        assert rules.labels(row["Reports"]) == told, row["Reports"]


def test_label_f1_by_hand(labeler: Path) -> None:
    rules = LabelRules.from_folder(labeler)
    written = ["Pleural effusion. Cardiomegaly.", "No pneumothorax."]
    wanted = ["Pleural effusion. No edema.", "Pneumothorax."]
    # positive: {effusion, cardiomegaly}, {no finding} against {effusion}, {pneumothorax}: 2 * 1 / (3 + 2)
    found = label_f1(written, wanted, rules)
    assert found["label F1 (micro)"] == pytest.approx(0.4)
    assert found["label F1 (macro)"] == pytest.approx(0.25)  # effusion 1; cardiomegaly, no finding, pneumothorax 0


def test_phrases_that_are_none_and_edges_of_words(labeler: Path) -> None:
    rules = LabelRules.from_folder(labeler)
    assert "pleural_effusion" not in rules.labels("Pericardial effusion.")
    assert "lung_lesion" not in rules.labels("Massive effusion.")
    assert "support_devices" not in rules.labels("Borderline heart.")
    assert rules.labels("Central line in place.")["support_devices"] == "positive"


def test_a_folder_without_phrases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused):
        LabelRules.from_folder(tmp_path)


def test_entities_with_their_denial() -> None:
    assert entities("No pleural effusion. Cyst in the liver.") == {
        ("pleural_effusion", True),
        ("cyst", False),
        ("liver", False),
    }
    # one of two entities is equal: 2 * 1 / (2 + 2)
    assert entity_f1(["No pleural effusion, liver."], ["Pleural effusion, liver."]) == pytest.approx(0.5)
    assert entity_f1(["Leber."], ["liver"]) == 1.0
    assert entity_f1(["nothing"], ["nothing"]) is None


def test_laterality_accuracy_by_hand() -> None:
    assert sides("Left kidney, cyst of the right lung. Nodule in the RUL.")["kidney"] == {"left"}
    assert sides("Both kidneys.") == {"kidney": {"left", "right"}}
    written, wanted = "Left kidney small. Right lung clear.", "Left kidney large. Left lung opaque. Right femur."
    assert laterality_accuracy([written], [wanted]) == pytest.approx(0.5)  # kidney right, lung wrong, femur in one only
    assert laterality_accuracy(["Liver."], ["Liver."]) is None


def test_all_metrics_from_the_command_line(tmp_path: Path, labeler: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in (("a", "Left pleural effusion."), ("b", "Left pleural effusion.")):
        (tmp_path / f"{name}.csv").write_text(f"id,report\n1,{text}\n2,Cardiomegaly of the heart.\n", encoding="utf-8")
    given = [
        "--candidates",
        str(tmp_path / "a.csv"),
        "--references",
        str(tmp_path / "b.csv"),
        "--phrases",
        str(labeler),
    ]
    main([*given, "--out", str(tmp_path / "m.json")])
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    assert found["reports"] == 2
    assert {found[name] for name in ("BLEU-1", "ROUGE-L", "label F1 (micro)", "entity F1", "laterality accuracy")} == {
        1.0
    }


def test_reports_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="references"):
        measure_reports(["a"], [])
    (tmp_path / "a.csv").write_text("id,report\n1,x\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("id,report\n2,x\n", encoding="utf-8")
    (tmp_path / "c.csv").write_text("name\nx\n", encoding="utf-8")
    for first, second in (("a", "b"), ("c", "a"), ("missing", "a")):
        with pytest.raises(InputRefused):
            main(["--candidates", str(tmp_path / f"{first}.csv"), "--references", str(tmp_path / f"{second}.csv")])
