"""Vision-language models of the user's own (MedGemma, LLaVA and their like): from a local folder, through transformers.

`folder` looks at the files without torch; `loading` makes a network of them; `pictures` turns a scan into pictures;
`generation` lets the network write; `drafting` is the whole way from a scan to sentences of a report.
"""
