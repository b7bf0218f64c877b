"""Templates: the shipped ones, what is refused, and which one a scan gets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from report_kit import RESOURCES, TEMPLATES, scan, template_of, terms

from medviewer.core.errors import InputRefused
from medviewer.core.report.template import Choice, Template, choose_template, fits_modality, prompt_wordings
from medviewer.core.report.template_reading import PLACEHOLDERS, read_template
from medviewer.core.volume import Fact, Volume

KEYS = {"ct_abdomen", "ct_chest", "chest_xray", "brain_mr", "spine_mr", "cardiac_mr", "breast_us", "general"}
SMALL = """key = "small"
title = { en = "Small", de = "Klein" }
prompts = ["liver"]

[choose]
modalities = ["CT"]

[patterns.en]
volume = "{structure}: volume {value} {unit} ({method})."
[patterns.de]
volume = "{structure}: Volumen {value} {unit} ({method})."

[[headings]]
key = "liver"
title = { en = "Liver", de = "Leber" }
[[headings]]
key = "other"
title = { en = "Other", de = "Anderes" }

[[terms]]
id = "liver"
heading = "liver"
quantities = ["volume"]
"""
# clinical.md 27, by key
FIXED = {
    "ct_abdomen": "lower_chest liver gallbladder_ducts pancreas spleen adrenals kidneys bowel peritoneum vessels nodes "
    "pelvis_female pelvis_male bones devices other",
    "chest_xray": "quality lines_tubes lungs pleura heart hila bones upper_abdomen other",
    "brain_mr": "diffusion blood_products parenchyma mass ventricles extra_axial flow_voids sella_orbits_sinuses other",
    "spine_mr": "numbering alignment marrow cord levels paravertebral other",
    "cardiac_mr": "ventricles mass motion atria valves pericardium vessels extracardiac other",
    "breast_us": "location size shape echo calcification axilla category other",
}


def read(text: str) -> Template:
    return read_template(text, {term.id for term in terms()}, "mine.toml")


def every() -> list[Template]:
    return [template_of(path.stem) for path in TEMPLATES]


def test_all_eight_are_shipped_under_their_own_name() -> None:
    assert {path.stem for path in TEMPLATES} == KEYS
    assert all(template_of(key).key == key for key in KEYS)


@pytest.mark.parametrize("key", sorted(FIXED))
def test_headings_are_fixed_and_in_order(key: str) -> None:
    assert [heading.key for heading in template_of(key).headings] == FIXED[key].split()


@pytest.mark.parametrize("key", sorted(KEYS))
def test_every_text_is_there_in_english_and_german(key: str) -> None:
    template = template_of(key)
    assert all(set(h.titles) == {"en", "de"} and all(h.titles.values()) for h in template.headings)
    assert template.patterns["en"].keys() == template.patterns["de"].keys()
    assert len(template.limitations["en"]) == len(template.limitations["de"]) > 0
    assert template.prompts


@pytest.mark.parametrize("key", sorted(KEYS - {"general"}))
def test_a_template_asks_only_for_what_its_modality_shows(key: str) -> None:
    names = {"CR": "DX", "XR": "DX"}
    wanted = {names.get(name, name) for name in template_of(key).choice.modalities}
    for id_ in template_of(key).prompts:
        assert wanted & set(terms().get(id_).modalities), id_


def test_the_contrast_of_a_ct_and_the_projection_of_an_x_ray_are_always_stated() -> None:
    assert {"contrast_agent", "contrast_phase"} <= set(template_of("ct_abdomen").stated)
    assert {"view_position", "body_position"} <= set(template_of("chest_xray").stated)
    assert "weighting" in template_of("brain_mr").stated


def test_no_measurement_of_volume_is_written_for_a_projection() -> None:
    assert all("volume" not in rule.quantities for rule in template_of("chest_xray").terms.values())


def test_pelvis_by_sex() -> None:
    template = template_of("ct_abdomen")
    assert "pelvis_male" not in [h.key for h in template.headings_for("F")]
    assert "pelvis_female" not in [h.key for h in template.headings_for("M")]
    assert "prostate" not in template.prompts_for("F")
    assert "prostate" in template.prompts_for("M")
    assert {"pelvis_male", "pelvis_female"} <= {h.key for h in template.headings_for("")}


def test_both_sides_of_a_pair_are_asked_for_in_words_that_are_understood() -> None:
    asked = prompt_wordings(template_of("ct_abdomen"), terms(), "F")
    assert {"liver", "left kidney", "right kidney"} <= set(asked)
    assert "prostate" not in asked
    assert all(terms().find(wording) for key in KEYS for wording in prompt_wordings(template_of(key), terms()))


def test_what_may_reach_across_the_middle_is_asked_for_as_a_whole() -> None:
    asked = prompt_wordings(template_of("brain_mr"), terms())
    assert "brain tumor" in asked
    assert "left hippocampus" in asked


def test_what_shows_through_contrast_alone_is_left_out_without_it() -> None:
    """clinical.md 18."""
    template = template_of("brain_mr")
    assert "enhancing tumor" in prompt_wordings(template, terms())
    assert "enhancing tumor" not in prompt_wordings(template, terms(), contrast=False)


def test_a_scan_without_modality_may_be_of_any_template() -> None:
    fitting = {key for key in KEYS if fits_modality(template_of(key), scan())}
    assert fitting == {"ct_abdomen", "ct_chest", "general"}
    assert {key for key in KEYS if fits_modality(template_of(key), scan(modality=None))} == KEYS
    assert fits_modality(template_of("chest_xray"), scan(modality="CR"))


@pytest.mark.parametrize(
    ("change", "line", "told"),
    [
        (('id = "liver"', 'id = "livver"'), 22, "'livver' is not in the terminology"),
        (('heading = "liver"', 'heading = "livers"'), 22, "under the heading 'livers'"),
        (('title = { en = "Liver", de = "Leber" }', 'title = { en = "Liver" }'), 15, "no text in de"),
        (("{structure}: Volumen {value}", "{structure}: Volumen {valu}"), 12, "{valu} is not known"),
        (("Volumen {value}", "Volumen {value"), 12, "a brace that belongs to no placeholder"),
        (("{structure}: Volumen", "{structure.__class__}: Volumen"), 12, "a brace"),
        (('key = "other"', 'key = "liver"'), 18, "occurs twice"),
        (("[choose]", "[chose]"), 5, "'chose' is not known"),
        (('quantities = ["volume"]', 'quantities = ["volumes"]'), 24, "'volumes' of 'liver' has no pattern"),
        (('modalities = ["CT"]', 'modalities = "CT"'), 6, "no list"),
        (('key = "small"', 'key = "Small one"'), 1, "needs a key"),
        (('key = "small"', 'key = "small"\nkey = "again"'), 2, "no valid TOML"),
        (('prompts = ["liver"]', 'prompts = ["spleen"]'), 3, "no entry under terms"),
        (("volume {value} {unit} ({method}).", "is normal, {value}."), 9, "for a person to write"),
        (("Volumen {value} {unit} ({method}).", "unauffällig, {value}."), 11, "for a person to write"),
        (("[patterns.de]", "[patterns.fr]"), 8, "patterns.en and patterns.de"),
        (('sex = "F"', ""), 0, ""),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_file_and_line(change: tuple[str, str], line: int, told: str) -> None:
    text = SMALL.replace(*change) if line else SMALL.replace('id = "liver"', 'id = "liver"\nsex = "female"')
    with pytest.raises(InputRefused) as refused:
        read(text)
    assert refused.value.message.startswith("mine.toml, line ")
    assert told in refused.value.message
    found = int(refused.value.message.split("line ")[1].split(":")[0])
    assert not line or abs(found - line) <= 1


def test_the_small_template_is_read() -> None:
    template = read(SMALL)
    assert template.heading_of("liver") == "liver"
    assert template.heading_of("spleen") == "other"
    assert template.heading_of(None) == "other"


@pytest.mark.parametrize("text", ["", "key", "\x00", "a = 1\n" * 3, "[[terms]]\nid = 5", "x" * 100_000])
def test_what_is_no_template_is_refused(text: str) -> None:
    with pytest.raises(InputRefused, match=r"mine\.toml, line \d+: "):
        read(text)


def test_no_shipped_pattern_names_an_unknown_placeholder() -> None:
    assert {"structure", "value", "unit", "method"} <= PLACEHOLDERS
    assert all("{structure}" in t.patterns["en"]["distance"] for t in every())


# -- choosing ---------------------------------------------------------------------------
def described(modality: str | None, body: str = "", title: str = "", **facts: str) -> Volume:
    known = {name: Fact(value) for name, value in facts.items()} | ({"body_part": Fact(body)} if body else {})
    return scan(modality=modality, facts=known, title=title)


@pytest.mark.parametrize(
    ("volume", "found", "key"),
    [
        (described("CT", "ABDOMEN"), (), "ct_abdomen"),
        (described("CT", "CHEST"), (), "ct_chest"),
        (described("CT", "", "Thorax nativ"), (), "ct_chest"),
        (described("CT"), ("liver", "spleen", "kidney", "lung"), "ct_abdomen"),
        (described("CT"), ("lung", "heart", "trachea"), "ct_chest"),
        (described("DX", "CHEST"), (), "chest_xray"),
        (described("CR", "", "", study_description="Thorax p.a."), (), "chest_xray"),
        (described("XR"), ("lung", "heart"), "chest_xray"),
        (described("MR", "HEAD"), (), "brain_mr"),
        (described("MR", "", "t2_tse_sag LWS"), (), "spine_mr"),
        (described("MR", "HEART"), (), "cardiac_mr"),
        (described("MR"), ("brain_tumor",), "brain_mr"),
        (described("US", "BREAST"), (), "breast_us"),
        (described("US"), ("breast_tumor",), "breast_us"),
        (described("US", "KIDNEY"), (), "general"),
        (described("CT", "FOOT"), (), "general"),
        (described(None, "CHEST"), (), "general"),
        (described("MR", "ABDOMEN"), ("liver",), "general"),
        (described("MR", "KNEE", "t2_tse_cor"), (), "general"),
    ],
)
def test_the_template_follows_modality_body_part_and_what_was_found(
    volume: Volume, found: tuple[str, ...], key: str
) -> None:
    assert choose_template(every(), volume, found).key == key


def test_the_stated_body_part_counts_more_than_what_was_found() -> None:
    volume = described("CT", "CHEST")
    assert choose_template(every(), volume, ("liver", "spleen", "kidney", "pancreas")).key == "ct_chest"


def test_a_word_inside_another_word_is_no_body_part() -> None:
    templates = [template_of("general"), Template("a", {}, (), {}, choice=Choice(("CT",), ("arm",)))]
    assert choose_template(templates, described("CT", "", "pharmacy"), ()).key == "general"
    assert choose_template(templates, described("CT", "", "left ARM 2mm"), ()).key == "a"


def test_a_scan_without_facts_gets_the_general_template() -> None:
    bare = Volume(np.zeros((4, 4, 1), np.uint8), None, kind="image")
    assert choose_template(every(), bare, ()).key == "general"


def test_templates_hold_no_machine_paths() -> None:
    assert all(str(Path.home()) not in path.read_text("utf-8") for path in (RESOURCES / "report").rglob("*.toml"))
