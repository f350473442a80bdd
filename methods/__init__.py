"""The methods, one file each. `METHODS` maps a name to `module:class`; a module is imported on first use."""

from __future__ import annotations

METHODS: dict[str, str] = {
    "supervised": "methods.supervised:Supervised",
    "mean_teacher": "methods.mean_teacher:MeanTeacher",
    "cutmix_seg": "methods.cutmix_seg:CutMixSeg",
    "cps": "methods.cps:CPS",
    "kd": "methods.kd:KD",
    "pseudo_label": "methods.pseudo_label:PseudoLabel",
    "mkd": "methods.mkd:MKD",
    "cwd": "methods.cwd:CWD",
    "mgd": "methods.mgd:MGD",
    "structured_consistency": "methods.structured_consistency:StructuredConsistency",
}
