# mypy: ignore-errors
"""Reads packed pictures with MXNet's two readers. Runs in the jobs environment.

    python read_back.py PART.rec PART.idx SIDE OUT.npz

OUT: `iterated` and `unpacked` [N, SIDE, SIDE, 3], `labels` [N], `ids` [N].
"""

import sys

import mxnet as mx
import numpy as np
from mxnet import recordio


def main() -> None:
    rec, idx, side, out = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    batches = mx.io.ImageRecordIter(
        path_imgrec=rec, data_shape=(3, side, side), batch_size=8, ctx="cpu"
    )
    iterated = [b.data[0].asnumpy()[: 8 - b.pad].transpose(0, 2, 3, 1) for b in batches]
    reader = recordio.MXIndexedRecordIO(idx, rec, "r")
    unpacked = [recordio.unpack(reader.read_idx(key)) for key in reader.keys]
    np.savez(
        out,
        iterated=np.concatenate(iterated),
        unpacked=np.stack([mx.image.imdecode(data).asnumpy() for _, data in unpacked]),
        labels=np.array([header.label for header, _ in unpacked]),
        ids=np.array([header.id for header, _ in unpacked]),
    )


if __name__ == "__main__":
    main()
