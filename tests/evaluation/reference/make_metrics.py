#!/usr/bin/env python3
"""Development only: writes metrics.json, the figures that independent implementations give.

Image and pixel figures come from scikit-learn; AUPRO from the definition in Bergmann et al. (one threshold per distinct
score, scikit-image's 8-connected regions, trapezoid cut at the limit), written without looking at the C++.
Inputs are integers in a small text form, so that both sides read the same numbers; the tie-heavy ones repeat few values.

    pip install scikit-learn==1.9.1 scikit-image==0.26.0 numpy==2.4.6
    python3 make_metrics.py > metrics.json
"""
import json

import numpy as np
from skimage.measure import label
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score


def figures(scores, labels):
    precision, recall, _ = precision_recall_curve(labels, scores)
    with np.errstate(divide="ignore", invalid="ignore"):
        f1 = np.nan_to_num(2 * precision * recall / (precision + recall))
    return {"auroc": roc_auc_score(labels, scores), "ap": average_precision_score(labels, scores), "f1_max": f1.max()}


def aupro(maps, masks, limit=0.3):
    regions = []
    for image, mask in zip(maps, masks):
        marks = label(mask, connectivity=2)
        regions += [image[marks == k] for k in range(1, marks.max() + 1)]
    normal = np.concatenate([m[k == 0] for m, k in zip(maps, masks)])
    points = [(0.0, 0.0)]
    for threshold in np.unique(np.concatenate([m.ravel() for m in maps]))[::-1]:
        points.append(((normal >= threshold).mean(), np.mean([(r >= threshold).mean() for r in regions])))
    x, y = np.array(points).T
    cut = np.interp(limit, x, y)
    keep = x <= limit
    x, y = np.append(x[keep], limit), np.append(y[keep], cut)
    return float(np.sum((x[1:] - x[:-1]) * (y[1:] + y[:-1]) / 2) / limit)


def main():
    rng = np.random.default_rng(20261125)
    ranked, regional = [], []
    for name, n, levels, shift in [("random", 300, 100000, 0.15), ("separated", 60, 100000, 2.0), ("inverted", 80, 1000, -0.3),
                                   ("ties", 400, 5, 0.2), ("two values", 100, 2, 0.1), ("constant", 50, 1, 0.0)]:
        labels = (rng.random(n) < 0.3).astype(int)
        labels[:2] = [0, 1]
        scores = np.floor(np.clip(rng.random(n) + shift * labels, 0, 3) * levels).astype(int)
        ranked.append({"name": name, "scores": scores.tolist(), "labels": labels.tolist(), **figures(scores, labels)})
    for name, levels, gain in [("random", 100000, 0.3), ("ties", 4, 0.4), ("good", 100000, 2.0)]:
        maps, masks = [], []
        for k in range(4):
            mask = np.zeros((24, 20), int)
            if k:
                for _ in range(k):
                    y, x = rng.integers(0, 20), rng.integers(0, 16)
                    mask[y:y + rng.integers(1, 5), x:x + rng.integers(1, 5)] = 1
                mask[2, 3] = mask[3, 4] = 1  # joined by a corner only
            maps.append(np.floor((rng.random(mask.shape) + gain * mask) * levels).astype(int))
            masks.append(mask)
        regional.append({"name": name, "height": 24, "width": 20, "maps": [m.ravel().tolist() for m in maps],
                         "masks": [m.ravel().tolist() for m in masks], "aupro": aupro(maps, masks),
                         "aupro_full": aupro(maps, masks, 1.0)})
    print(json.dumps({"ranked": ranked, "regional": regional}, separators=(",", ":")))


main()
