"""Choosing the model in the window: the licence and the card are shown, work stays, later prompts ask the new one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fakes import FakeHost, add_segment
from PySide6.QtCore import QTimer, QUrl
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication, QLabel, QPushButton

from medviewer.core.provenance import Provenance
from medviewer.core.user_terms import user_entry
from medviewer.gui.dialogs.model_dialog import ModelDialog, facts_text
from medviewer.gui.model_choice import SETTING
from medviewer.services import model_store
from medviewer.services.folders import user_folder
from medviewer.services.model_store import ModelInfo, list_models

RESEARCH, OPEN = "non-commercial research weights", "CC BY-SA 4.0, commercial use allowed"
CARD = """# Model {name}

**Licence: {licence}**

| set | Dice |
|---|---|
| one | 0.9 |

![worst](failures/1.png)
![outside](../../secret.png)
![web](http://example.org/x.png)

<script>alert(1)</script>
"""


@pytest.fixture
def two_models(tmp_path: Path, settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two installed models; the first one is the default."""
    lines = ['default = "default"']
    models = tmp_path / "resources" / "models"
    for name, licence, terms in (("default", RESEARCH, ["liver", "spleen"]), ("default-open", OPEN, ["liver"])):
        (models / name / "failures").mkdir(parents=True)
        config = {"id": name, "terms": {term: {"results": {"CT": {}}} for term in terms}}
        (models / name / "config.json").write_text(json.dumps(config))
        (models / name / "card.md").write_text(CARD.format(name=name, licence=licence))
        QImage(8, 6, QImage.Format.Format_RGB32).save(str(models / name / "failures" / "1.png"))
        commercial = "true" if licence == OPEN else "false"
        lines += [f'[models."{name}"]', 'version = "2"', f'licence = "{licence}"', f"commercial_use = {commercial}"]
    QImage(8, 6, QImage.Format.Format_RGB32).save(str(tmp_path / "resources" / "secret.png"))
    (tmp_path / "resources" / "models.toml").write_text("\n".join(lines))
    real = model_store.shipped_folder
    monkeypatch.setattr(
        model_store, "shipped_folder", lambda name: tmp_path / name if name == "resources" else real(name)
    )
    return models


@pytest.fixture
def window(two_models: Path, make_window, fake):
    return make_window(FakeHost(fake))


def choose(window, row: int, *, accept: bool = True) -> None:
    """Open the chooser as a user does, choose a line, press a button."""

    def press() -> None:
        dialog = next(w for w in QApplication.topLevelWidgets() if isinstance(w, ModelDialog) and w.isVisible())
        dialog.list.setCurrentRow(row)
        if accept:
            dialog.use.click()
        dialog.reject()

    QTimer.singleShot(50, press)
    window.actions_["choose_model"].trigger()


def chips(panel) -> list[str]:
    return [chip.text() for chip in panel.chips.findChildren(QPushButton)]


def ask(qtbot, window, panel, text: str) -> None:
    panel.run_text(text)
    qtbot.waitUntil(lambda: window.jobs.current is None, timeout=20000)


def test_the_panel_names_the_model_and_its_licence(window, panel) -> None:
    assert panel.model.text() == f"default 2 – {RESEARCH}"


def test_a_choice_is_kept_and_later_prompts_use_it(qtbot, ct_window, panel, fake, settings) -> None:
    ask(qtbot, ct_window, panel, "liver")
    add_segment(ct_window)
    before = [card.text for card in panel.cards]
    choose(ct_window, 1)
    assert settings.get(SETTING, "") == "default-open"
    assert panel.model.text() == f"default-open 2 – {OPEN}"
    assert [card.text for card in panel.cards] == before
    assert [segment.name for segment in ct_window.scene.active.segments] == ["Kidney"]
    assert ct_window.scene.active.preview is not None
    ask(qtbot, ct_window, panel, "spleen")
    assert [request.model_id for request in fake.requests] == [None, "default-open"]
    assert any(OPEN in toast.text for toast in ct_window.toasts.shown)


def test_the_suggestions_are_those_of_the_chosen_model(ct_window, panel) -> None:
    assert chips(panel) == ["liver", "spleen"]
    choose(ct_window, 1)
    assert chips(panel) == ["liver"]


def test_a_model_made_while_the_window_is_open_needs_no_restart(qtbot, ct_window, panel, fake, settings) -> None:
    """As after a fine-tuning: it is listed, its own structure is completed, offered and understood."""
    ask(qtbot, ct_window, panel, "zorgle")
    assert fake.understood == [None]
    home = user_folder("data") / "models" / "zorgle-model"
    home.mkdir(parents=True)
    entry = user_entry("zorgle", ["CT"])
    config = {"id": home.name, "licence": "mine", "terms": {entry["id"]: {"results": {}}}, "user_terms": [entry]}
    (home / "config.json").write_text(json.dumps(config))
    choose(ct_window, 2)
    assert settings.get(SETTING, "") == "zorgle-model"
    assert chips(panel) == ["zorgle"]
    qtbot.keyClicks(panel.prompt, "zor")
    assert panel.prompt._completer.words.stringList() == ["zorgle"]
    ask(qtbot, ct_window, panel, "zorgles")
    assert fake.understood == [None, "user:zorgle"]
    assert fake.requests[-1].model_id == "zorgle-model"


def test_closing_the_chooser_changes_nothing(ct_window, panel, settings) -> None:
    choose(ct_window, 1, accept=False)
    assert settings.get(SETTING, "") == ""
    assert panel.model.text().startswith("default 2")


def test_what_was_prepared_for_the_old_model_is_prepared_again(ct_window, panel) -> None:
    panel._preparer._asked.add("something")
    choose(ct_window, 1)
    assert "something" not in panel._preparer._asked


def test_a_model_that_is_gone_is_named(two_models: Path, settings, make_window, fake) -> None:
    settings.set(SETTING, "mine")
    window = make_window(FakeHost(fake))
    assert window.plugins.panels["text_segmentation"].model.text() == "mine – not installed"


def test_cards_name_the_model_that_answered(qtbot, ct_window, panel, fake) -> None:
    ask(qtbot, ct_window, panel, "left kidney; pancreas; zorgle")
    assert {card.text.source for card in panel.cards} == {"fake 1.0 – licence not stated"}
    shown = [label.text() for card in panel.cards for label in card.findChildren(QLabel)]
    assert shown.count("fake 1.0 – licence not stated") == 3


def test_a_segment_corrected_by_another_model_names_both(qtbot, ct_window, panel) -> None:
    from medviewer.core.prediction import PointPrompt

    origin = Provenance(model_id="default", model_version="2", licence=RESEARCH)
    segment = add_segment(ct_window)
    ct_window.scene.refine_segment(segment.changed(provenance=origin, mask=~segment.mask))
    ct_window.scene.select(segment.id)
    panel.clicked(PointPrompt((1.0, 2.0, 3.0)))
    qtbot.waitUntil(lambda: ct_window.jobs.current is None, timeout=20000)
    provenance = ct_window.scene.active.get(segment.id).provenance
    assert provenance.edits[-1] == "refined with 1 click by fake 1.0 – licence not stated"
    assert (provenance.model_id, provenance.licence) == ("default", RESEARCH)


def test_the_card_is_shown_with_its_pictures_and_no_others(qtbot, two_models: Path) -> None:
    dialog = ModelDialog(list_models(), "default")
    qtbot.addWidget(dialog)
    dialog.show()
    text = dialog.card.document().toPlainText()
    assert "Licence: non-commercial research weights" in text
    assert "0.9" in text

    def picture(name: str) -> tuple[int, int]:
        size = dialog.card.loadResource(2, QUrl(name)).size()
        return size.width(), size.height()

    assert picture("failures/1.png") == (8, 6)
    for name in ("../../secret.png", str(two_models.parent / "secret.png"), "http://example.org/x.png", "card.md", ""):
        assert picture(name) == (0, 0), name
    assert not dialog.use.isEnabled()  # it is in use
    dialog.list.setCurrentRow(1)
    assert OPEN in dialog.facts.text()
    assert "Commercial use is allowed." in dialog.facts.text()
    assert dialog.use.isEnabled()


def test_no_model_at_all(qtbot) -> None:
    dialog = ModelDialog([], "")
    qtbot.addWidget(dialog)
    assert "No model" in dialog.facts.text()
    assert not dialog.use.isEnabled()


@pytest.mark.parametrize(
    ("allowed", "words"), [(True, "is allowed"), (False, "is not allowed"), (None, "is not stated")]
)
def test_commercial_use_is_said_in_words(allowed: bool | None, words: str) -> None:
    assert words in facts_text(ModelInfo("a", "A", "text-segmentation", None, commercial_use=allowed))


def test_the_menu_has_it(window) -> None:
    assert "choose_model" in [action.objectName() for action in window.toolbar.open.menu().actions()]
