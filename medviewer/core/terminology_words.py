"""Words that mean the same inside a name: adjectives for their organ, Latin, German and French for English."""

from __future__ import annotations

# adjective -> noun; beside those that a structure of one word has among its own wordings (hepatic, renal, ...)
ADJECTIVES = """
liver: hepatic hepatis hepatisch hepatique
kidney: renal renalis renis renaux renale
lung: pulmonary pulmonal pulmonalis pulmonic pulmonaire
heart: cardiac cordis kardial cardiaque
spleen: splenic lienal lienalis splenicus splenique
pancreas: pancreatic pancreatis pankreatisch pancreatique
stomach: gastric gastral gastrique
aorta: aortic aortal aortique
colon: colonic colic colique
brain: cerebral encephalic zerebral cerebri
cerebellum: cerebellar cerebellous zerebellaer cerebelleux
thalamus: thalamic
hippocampus: hippocampal
pallidum: pallidal
putamen: putaminal
amygdala: amygdalar
vertebra: vertebral
spine: spinal rachidien rachidienne
rib: costal costalis
clavicle: clavicular clavicularis
sternum: sternal
scapula: scapular
humerus: humeral
femur: femoral
tibia: tibial
fibula: fibular
ulna: ulnar
patella: patellar
sacrum: sacral
ilium: iliac iliacus iliaque
mandible: mandibular
skull: cranial
trachea: tracheal
bronchus: bronchial
ventricle: ventricular ventrikulaer ventriculaire
atrium: atrial
myocardium: myocardial
pericardium: pericardial
prostate: prostatic
uterus: uterine
ovary: ovarian
abdomen: abdominal abdominell
chest: thoracic thorakal
breast: mammary mammaire
artery: arterial arteriell
vein: venous venoes
vessel: vascular
bone: osseous bony
muscle: muscular
tumor: tumoral tumorous neoplastic
necrosis: necrotic nekrotisch
edema: edematous
cortex: cortical
"""

# noun -> equal nouns and prepositions
EQUALS = """
artery: arteria arterie arterien artere schlagader
vein: vena vene veine
vessel: gefaess gefass vaisseau
muscle: musculus muskel muskulatur
bone: os knochen ossis
trunk: truncus tronc
nerve: nervus nerv nerf
nucleus: kern noyau nuclear
gland: glandula druese glande
lobe: lobus lappen
ventricle: ventriculus ventrikel ventricule
atrium: vorhof oreillette
cavity: chamber cavitas cavum cavite
lumen: lichtung lumiere
tissue: gewebe tissu
parenchyma: parenchym parenchyme
tumor: geschwulst neoplasm tumeur growth mass
edema: oedem swelling
necrosis: nekrose necrose
hemorrhage: bleeding bleed blutung hemorragie
cyst: zyste kyste
cartilage: knorpel cartilago
cortex: rinde
matter: substance substanz substantia
part: portion component teil anteil partie
region: zone gegend gebiet
around: surrounding
anterior: front vorderer vordere vorderes anterieur
posterior: rear back hinterer hintere hinteres posterieur
superior: upper oberer obere oberes superieur
inferior: lower unterer untere unteres inferieur
lateral: lateralis laterale lateraux
medial: medialis
head: caput kopf tete
canal: canalis kanal
disc: discus disque
foetus: fetus fetal foetal
liver: hepar leber foie
kidney: niere rein
spleen: lien milz
lung: pulmo lunge poumon
heart: cor herz coeur
pancreas: pankreas bauchspeicheldruese
stomach: gaster magen estomac
aorta: aorte hauptschlagader
brain: encephalon hirn gehirn cerveau
breast: mamma brust sein
spine: wirbelsaeule rachis
vertebra: wirbel vertebre
rib: costa rippe cote
clavicle: clavicula klavikula schluesselbein clavicule
skull: cranium schaedel crane
hip: coxa coxae coxal huefte hanche
cerebellum: kleinhirn cervelet
hippocampus: hippokampus hippocampe
amygdala: mandelkern amygdale
thalamus: sehhuegel
pallidum: pallidus
myocardium: myokard myocarde
portal: portae porte
cava: cave
carotid: carotis carotide
common: communis commune
pelvis: becken bassin
abdomen: bauch
chest: thorax brustkorb
bladder: blase vessie
colon: kolon
uterus: gebaermutter
gray: grise grisea graue grau
white: alba blanche weisse weiss
peritumoral: peritumorales
"""

# kind of thing, or what it lies in as a whole -> terms beside which the word adds nothing; "*" any term
KINDS = {
    "tissue": "*",
    "parenchyma": "*",
    "organ": "*",
    "region": "*",
    "area": "*",
    "bone": """clavicle femur hip_bone ilium rib sternum scapula humerus radius ulna patella tibia fibula sacrum coccyx
        mandible maxilla skull vertebra""",
    "muscle": "gluteus_maximus gluteus_medius gluteus_minimus iliopsoas autochthon diaphragm myocardium",
    "gland": "pancreas adrenal_gland thyroid_gland prostate parotid_gland pituitary_gland thymus",
    "vessel": """aorta aorta_ascending aorta_arch aorta_descending aorta_abdominal inferior_vena_cava
        superior_vena_cava portal_vein splenic_vein hepatic_vein renal_artery renal_vein pulmonary_artery
        pulmonary_vein common_carotid_artery internal_carotid_artery iliac_artery iliac_vein""",
    "lumen": """aorta aorta_ascending aorta_arch aorta_descending aorta_abdominal inferior_vena_cava
        superior_vena_cava portal_vein pulmonary_artery common_carotid_artery internal_carotid_artery iliac_artery
        iliac_vein stomach gallbladder urinary_bladder duodenum small_bowel colon esophagus trachea""",
    "nucleus": "thalamus putamen globus_pallidus caudate_nucleus amygdala nucleus_accumbens",
    "part": "enhancing_tumor non_enhancing_tumor tumor_necrosis",
    "cavity": "left_ventricle right_ventricle left_atrium right_atrium",
    "heart": "left_ventricle right_ventricle left_atrium right_atrium left_ventricular_myocardium",
    "brain": """hippocampus anterior_hippocampus posterior_hippocampus amygdala thalamus caudate_nucleus putamen
        globus_pallidus nucleus_accumbens lateral_ventricle cerebellum brainstem gray_matter white_matter""",
    "spine": "vertebra intervertebral_disc spinal_canal spinal_cord",
    "abdomen": "liver spleen pancreas kidney gallbladder stomach adrenal_gland duodenum",
    "chest": "heart lung",
}

# "the", "of", "show me" in French; not in the general list, because "LA" is the left atrium and "des" a drug
_FRENCH_CARRIER_WORDS = """
le la les du de des un une au aux dans sur et moi mon ma mes ce cette ces ou est sont montre montrer montrez affiche
afficher affichez segmente segmenter segmentez trouve trouver trouvez indique indiquer contour s il te vous plait
"""
FRENCH_CARRIERS = frozenset(_FRENCH_CARRIER_WORDS.split())

# plurals that no ending gives
IRREGULAR = {
    "nuclei": "nucleus", "femora": "femur", "putamina": "putamen", "foramina": "foramen", "cortices": "cortex",
    "atria": "atrium", "septa": "septum", "corpora": "corpus", "viscera": "viscus", "pelves": "pelvis",
    "appendices": "appendix", "ova": "ovum", "feet": "foot", "teeth": "tooth",
    "crania": "cranium", "cerebella": "cerebellum", "ostia": "ostium", "sterna": "sternum", "sacra": "sacrum",
    "ilia": "ilium", "ganglia": "ganglion", "apices": "apex", "matrices": "matrix", "cervices": "cervix",
    "noyaux": "noyau", "arteres": "artere", "vaisseaux": "vaisseau",
}  # fmt: skip


def table(text: str) -> dict[str, str]:
    """Every word after a colon to the word before it."""
    pairs = (line.split(":") for line in text.strip().splitlines())
    return {word: head.strip() for head, words in pairs for word in words.split()}
