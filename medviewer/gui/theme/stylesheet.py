"""The Qt style sheet, made from tokens. Widgets say what they are with the dynamic property `role`."""

from __future__ import annotations

from string import Template

from medviewer.gui.theme.tokens import HEADING_PX, RADIUS, RADIUS_SMALL, SMALL_PX, TITLE_PX, Tokens

_TEMPLATE = Template("""
QWidget { color: $text; }
QMainWindow, QDialog, QMessageBox { background: $panel; dialogbuttonbox-buttons-have-icons: 0; }
QDialogButtonBox { dialogbuttonbox-buttons-have-icons: 0; }
QToolTip { background: $card; color: $text; border: 1px solid $line_strong; padding: 4px 8px; }
QLabel { background: transparent; }
QLabel[role="heading"] { color: $muted; font-size: ${heading_px}px; font-weight: 600; }
QLabel[role="title"] { font-size: ${title_px}px; font-weight: 600; }
QLabel[role="brand"] { font-size: 15px; font-weight: 700; }
QLabel[role="strong"] { font-weight: 600; }
QLabel[role="muted"] { color: $muted; font-size: ${small_px}px; }
QLabel[role="value"] { font-size: ${small_px}px; }
QLabel[role="warn"] { color: $warn; font-size: ${small_px}px; }
QLabel[role="bad"] { color: $bad; font-size: ${small_px}px; }
QLabel[role="notice"] { color: $warn; font-size: ${small_px}px; }

QFrame#toolbar { background: $panel; border: none; border-bottom: 1px solid $line; }
QFrame#sidebar { background: $panel; border: none; border-right: 1px solid $line; }
QFrame#plugins { background: $panel; border: none; border-left: 1px solid $line; }
QFrame#statusbar { background: $panel; border: none; border-top: 1px solid $line; }
QWidget#middle { background: $background; }
QFrame[role="separator"] { background: $line; border: none; }
QFrame[role="card"] { background: $card; border: 1px solid $line; border-radius: ${radius}px; }
QFrame[role="card"][active="true"] { border: 1px solid $accent; }
QFrame[role="card"]:focus { border: 2px solid $accent; }
QFrame[role="banner"] { background: $warn_back; border: none; border-bottom: 1px solid $line; }
QFrame[role="toast"] { background: $card; border: 1px solid $line_strong; border-radius: ${radius}px; }
QFrame[role="toast"][kind="error"] { background: $bad_back; border-color: $bad; }
QFrame[role="toast"][kind="warning"] { background: $warn_back; border-color: $warn; }
QFrame[role="dropzone"] { background: $panel; border: 2px dashed $line_strong; border-radius: 10px; }
QFrame[role="dropzone"][hot="true"] { border-color: $accent; background: $selected; }

QPushButton, QToolButton {
  background: $raised; border: 2px solid transparent; border-radius: ${radius_small}px; padding: 5px 12px; color: $text;
}
QPushButton:hover, QToolButton:hover { background: $hover; }
QPushButton:pressed, QToolButton:pressed { background: $selected; }
QPushButton:focus, QToolButton:focus { border-color: $accent; }
QPushButton:disabled, QToolButton:disabled { color: $disabled; }
QToolButton { padding: 4px; }
QPushButton[role="primary"] { background: $accent; color: $on_accent; font-weight: 600; }
QPushButton[role="primary"]:focus { border-color: $text; }
QPushButton[role="primary"]:disabled { background: $raised; color: $disabled; }
QPushButton[role="link"] { background: transparent; color: $accent; padding: 2px 4px; text-align: left; }
QPushButton[role="link"]:hover { text-decoration: underline; }
QPushButton[role="link"]:disabled { color: $disabled; }
QPushButton[role="quiet"] { background: transparent; color: $muted; padding: 0 6px; }
QPushButton[role="quiet"]:hover { color: $text; background: $hover; }
QPushButton[role="chip"] { background: $raised; border-radius: 10px; padding: 2px 8px; font-size: ${small_px}px; }
QPushButton[role="chip"]:hover { background: $hover; }
QPushButton[role="row"] { background: transparent; text-align: left; padding: 6px 8px; }
QPushButton[role="row"]:hover { background: $raised; }
QToolButton[role="flat"] { background: transparent; padding: 3px; }
QToolButton[role="flat"]:hover { background: $hover; }
QFrame#toolbar QToolButton { background: transparent; padding: 5px 6px; }
QFrame#toolbar QToolButton[compact="true"] { padding: 5px 2px; }
QFrame#toolbar QToolButton:hover { background: $raised; }
QFrame#toolbar QToolButton:checked { background: $selected; color: $accent; }
QFrame#toolbar QToolButton:disabled { color: $disabled; }
QFrame#toolbar QToolButton::menu-indicator { image: none; width: 0px; }

QLineEdit, QPlainTextEdit, QComboBox {
  background: $card; border: 2px solid $line; border-radius: ${radius_small}px; padding: 6px 8px;
  selection-background-color: $accent; selection-color: $on_accent;
}
QLineEdit:hover, QComboBox:hover { border-color: $line_strong; }
QLineEdit:focus, QPlainTextEdit:focus, QComboBox:focus { border-color: $accent; }
QLineEdit[role="prompt"] {
  background: $field; border-color: $line_strong; border-radius: ${radius}px; padding: 8px 10px;
}
QLineEdit[role="prompt"]:focus { border-color: $accent; }
QAbstractSpinBox QLineEdit { background: transparent; border: none; padding: 0; }
QComboBox { padding: 5px 8px; }
QComboBox::drop-down { border: none; width: 22px; }
QComboBox::down-arrow { image: url("$chevron"); width: 14px; height: 14px; }
QComboBox QAbstractItemView { background: $card; border: 1px solid $line_strong; outline: none; padding: 4px;
  selection-background-color: $selected; selection-color: $text; }
QAbstractItemView { outline: none; }
QListWidget { background: $card; border: 2px solid $line; border-radius: ${radius_small}px; padding: 4px; }
QTextBrowser { background: $card; border: 2px solid $line; border-radius: ${radius_small}px; padding: 8px; }
QTextBrowser:focus { border-color: $accent; }
QListWidget::item { border-radius: ${radius_small}px; padding: 4px; color: $text; }
QListWidget::item:hover { background: $raised; }
QListWidget::item:selected { background: $selected; color: $text; }
QListWidget:disabled, QListWidget::item:disabled { color: $disabled; }
QListWidget::indicator, QCheckBox::indicator, QRadioButton::indicator {
  width: 14px; height: 14px; border: 1px solid $line_strong; background: $field;
}
QListWidget::indicator, QCheckBox::indicator { border-radius: 4px; }
QListWidget::indicator:checked, QCheckBox::indicator:checked {
  background: $accent; border-color: $accent; image: url("$check");
}
QRadioButton::indicator { border-radius: 8px; }
QRadioButton::indicator:checked { border: 5px solid $accent; width: 6px; height: 6px; background: $on_accent; }
QRadioButton::indicator:disabled { border-color: $line; background: $panel; }
QListView { background: transparent; border: 2px solid transparent; border-radius: ${radius_small}px; }
QListView:focus { border-color: $accent; }
QListView[role="popup"] { background: $card; border: 1px solid $line_strong; border-radius: 0; }
QListView[role="popup"]::item { padding: 4px 8px; border-radius: 4px; }
QListView[role="popup"]::item:selected { background: $selected; color: $text; }
QTreeView, QTableView { background: $card; border: 1px solid $line; border-radius: ${radius_small}px; }
QMenu { background: $card; border: 1px solid $line_strong; padding: 4px; }
QMenu::item { padding: 6px 24px 6px 12px; border-radius: 4px; }
QMenu::item:selected { background: $selected; }
QMenu::item:disabled { color: $disabled; }
QMenu::separator { height: 1px; background: $line; margin: 4px 8px; }
QMenu::icon { padding-left: 8px; }

QTabBar { background: transparent; qproperty-drawBase: 0; }
QTabBar::tab {
  background: transparent; color: $muted; padding: 8px 14px; border: none; border-bottom: 2px solid transparent;
}
QTabBar::tab:selected { color: $text; border-bottom-color: $accent; }
QTabBar::tab:hover { color: $text; }
QTabBar::tab:focus { color: $accent; }
QTabWidget::pane { border: none; border-top: 1px solid $line; }

QScrollArea { background: transparent; border: none; }
QScrollArea > QWidget > QWidget { background: transparent; }
QScrollBar:vertical { background: transparent; width: 10px; margin: 0; }
QScrollBar::handle:vertical { background: $line_strong; border-radius: 3px; min-height: 32px; margin: 2px; }
QScrollBar::handle:vertical:hover { background: $muted; }
QScrollBar:horizontal { background: transparent; height: 10px; margin: 0; }
QScrollBar::handle:horizontal { background: $line_strong; border-radius: 3px; min-width: 32px; margin: 2px; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
QSplitter::handle { background: $background; }
QSplitter::handle:hover { background: $accent; }
QSlider::groove:horizontal { height: 4px; background: $line_strong; border-radius: 2px; }
QSlider::sub-page:horizontal { background: $accent; border-radius: 2px; }
QSlider::handle:horizontal { background: $text; width: 14px; height: 14px; margin: -5px 0; border-radius: 7px; }
QSlider:focus { border: 1px solid $accent; border-radius: 4px; }
QCheckBox, QRadioButton { spacing: 8px; padding: 2px; border: 2px solid transparent; border-radius: 4px; }
QCheckBox:focus, QRadioButton:focus { border-color: $accent; }
QCheckBox:disabled, QRadioButton:disabled { color: $disabled; }

""")


def stylesheet(tokens: Tokens) -> str:
    """The style sheet of the whole application for one theme."""
    from medviewer.gui.theme.icons import tinted_file

    return _TEMPLATE.substitute(
        tokens.colors(),
        heading_px=HEADING_PX,
        small_px=SMALL_PX,
        title_px=TITLE_PX,
        radius=RADIUS,
        radius_small=RADIUS_SMALL,
        chevron=tinted_file("chevron_down", tokens.muted),
        check=tinted_file("check", tokens.on_accent),
    )
