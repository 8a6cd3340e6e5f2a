"""Lists in parquet files, as BigQuery loads them."""

from __future__ import annotations

import pyarrow as pa


def as_loaded(table: pa.Table, *, lists: bool) -> pa.Table:
    """Without list inference, a list becomes what its groups in the file are: a struct of a list of structs.

    https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet#list_logical_type
    """
    if lists:
        return table
    columns = [
        _grouped(column.combine_chunks()) if pa.types.is_list(column.type) else column for column in table.columns
    ]
    return pa.table(columns, names=table.column_names)


def _grouped(column: pa.ListArray) -> pa.StructArray:
    elements = pa.StructArray.from_arrays([column.values], ["element"])
    listed = pa.ListArray.from_arrays(column.offsets, elements)
    return pa.StructArray.from_arrays([listed], ["list"], mask=column.is_null())
