"""Turn a trained scorer into the file that ships: its layers as ONNX in int8.

python eval/export_scorer.py build/scorer/second/last.pt src/qa/scorers/model/scorer.onnx
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from train_scorer import Scorer, load_checkpoint

from qa.embedders.export import quantize
from qa.embedders.models import file_sha256
from qa.scorers.encoding import MAX_PIECES


class FromVectors(torch.nn.Module):
    """Vectors (1, length, dimension) of word pieces and their types (1, length) to logits (1, length, 3)."""

    def __init__(self, scorer: Scorer) -> None:
        super().__init__()
        self.scorer = scorer

    def forward(self, vectors: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        states = self.scorer.encoder(inputs_embeds=vectors, token_type_ids=types).last_hidden_state
        logits: torch.Tensor = self.scorer.head(states)
        return logits


def export(scorer: Scorer, path: Path, *, int8: bool = True) -> None:
    """Write the layers, which must have "eager" attention, to an ONNX file; without `int8` with 32-bit weights."""
    model = FromVectors(scorer).eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        length = torch.export.Dim("length", min=2, max=MAX_PIECES)
        torch.onnx.export(
            model,
            (torch.zeros(1, 12, scorer.encoder.config.hidden_size), torch.zeros(1, 12, dtype=torch.long)),
            dynamo=True,
            dynamic_shapes={"vectors": {1: length}, "types": {1: length}},
            input_names=["vectors", "types"],
            output_names=["logits"],
            opset_version=20,
            external_data=False,
            verbose=False,
        ).save(str(path))
    if int8:
        quantize(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--float", action="store_true", help="keep 32-bit weights, to compare with")
    options = parser.parse_args()
    # "Eager" attention, as the embedding model is exported: one text needs no mask.
    export(load_checkpoint(options.checkpoint, attention="eager"), options.out, int8=not options.float)
    print(f"{options.out}: {options.out.stat().st_size:,} bytes")
    print("To ship it as src/qa/scorers/model/scorer.onnx, write its hash to src/qa/scorers/onnx.py:")
    print(f'MODEL_SHA256 = "{file_sha256(options.out)}"')
    print("and fit the answerer's models to its scores anew: python eval/fit_extractive.py --data FOLDER")


if __name__ == "__main__":
    main()
