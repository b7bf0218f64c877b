"""What the templates' slots are filled with. Written before the guards; shares nothing with their word lists."""

from __future__ import annotations

SIDES = ("left", "right")
OTHER = {"left": "right", "right": "left"}
GERMAN = {"left": ("links", "link", "li."), "right": ("rechts", "recht", "re.")}
ENGLISH_ABBREVIATION = {"left": "Lt.", "right": "Rt."}
# term id, English; paired organs that a plural "s" suits
ENGLISH_ORGANS = (
    ("kidney", "kidney"), ("lung", "lung"), ("adrenal_gland", "adrenal gland"), ("breast", "breast"),
    ("femur", "femur"), ("clavicle", "clavicle"),
)  # fmt: skip
FEMININE = (
    ("kidney", "Niere", "Nieren"), ("lung", "Lunge", "Lungen"), ("adrenal_gland", "Nebenniere", "Nebennieren"),
    ("breast", "Brust", "Brüste"), ("clavicle", "Klavikula", "Klavikulae"),
)  # fmt: skip
MASCULINE = (("femur", "Femur"), ("hippocampus", "Hippocampus"), ("ureter", "Ureter"), ("humerus", "Humerus"))
ENGLISH_FINDINGS = ("nodule in the left lung", "liver lesion", "cyst of the right kidney", "pleural effusion",
                    "pulmonary opacity",
                    "soft tissue mass", "lymph node", "hypodense area", "calcification", "consolidation")  # fmt: skip
GERMAN_FINDINGS = ("Rundherd der linken Lunge", "Leberläsion", "Zyste der rechten Niere", "Pleuraerguss",
                   "Verschattung",
                   "Raumforderung", "Lymphknoten", "hypodenses Areal", "Verkalkung", "Konsolidierung")  # fmt: skip
UNPAIRED = (
    ("liver", "liver", "Leber"), ("spleen", "spleen", "Milz"), ("pancreas", "pancreas", "Pankreas"),
    ("gallbladder", "gallbladder", "Gallenblase"), ("stomach", "stomach", "Magen"), ("aorta", "aorta", "Aorta"),
    ("urinary_bladder", "urinary bladder", "Harnblase"),
)  # fmt: skip
FURTHER_ENGLISH = {
    "study": (("ureter", "ureter"), ("tibia", "tibia"), ("scapula", "scapula")),
    "final": (("parotid_gland", "parotid gland"), ("patella", "patella"), ("eyeball", "eyeball")),
}
FURTHER_FEMININE = {
    "study": (("tibia", "Tibia", "Tibiae"), ("scapula", "Skapula", "Skapulae")),
    "final": (("parotid_gland", "Ohrspeicheldrüse", "Ohrspeicheldrüsen"), ("patella", "Kniescheibe", "Kniescheiben")),
}
FURTHER_MASCULINE = {
    "study": (("thalamus", "Thalamus"),),
    "final": (("eyeball", "Augapfel"), ("optic_nerve", "Sehnerv")),
}
METHOD = {"en": "mean of the mask without its outer 5 mm", "de": "Mittelwert der Maske ohne ihre äußeren 5 mm"}
RANGE = {"en": "reference range 824.5 to 1700 ml, adults", "de": "Referenzbereich 824,5 bis 1700 ml, Erwachsene"}
