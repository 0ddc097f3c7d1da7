//! String layouts: views inside the engine, plain offsets in the files that others read.
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{BinaryType, LargeBinaryType, LargeUtf8Type, Utf8Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, FixedSizeListArray, GenericListArray, MapArray, OffsetSizeTrait,
    RecordBatch, RecordBatchOptions, StringArray, StringViewArray, StructArray,
};
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};

use crate::error::Outcome;

/// What strings and binary become.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Utf8, LargeUtf8 and dictionaries become Utf8View, dictionaries of anything else their values.
    Views,
    /// Utf8View becomes Utf8, LargeUtf8 and dictionaries stay.
    Plain,
}

pub fn convert_type(of: &DataType, to: Layout) -> DataType {
    let again = |field: &FieldRef| -> FieldRef { convert_field(field, to) };
    match (to, of) {
        (Layout::Views, DataType::Utf8 | DataType::LargeUtf8) => DataType::Utf8View,
        (Layout::Views, DataType::Binary | DataType::LargeBinary) => DataType::BinaryView,
        (Layout::Views, DataType::Dictionary(_, values)) => convert_type(values, to),
        (Layout::Plain, DataType::Utf8View) => DataType::Utf8,
        (Layout::Plain, DataType::BinaryView) => DataType::Binary,
        (_, DataType::Struct(fields)) => DataType::Struct(fields.iter().map(again).collect::<Fields>()),
        (_, DataType::List(item)) => DataType::List(again(item)),
        (_, DataType::LargeList(item)) => DataType::LargeList(again(item)),
        (_, DataType::FixedSizeList(item, size)) => DataType::FixedSizeList(again(item), *size),
        (_, DataType::Map(entries, sorted)) => DataType::Map(again(entries), *sorted),
        (_, other) => other.clone(),
    }
}

fn convert_field(field: &FieldRef, to: Layout) -> FieldRef {
    let kind = convert_type(field.data_type(), to);
    if kind == *field.data_type() {
        return field.clone();
    }
    Arc::new(Field::new(field.name(), kind, field.is_nullable()).with_metadata(field.metadata().clone()))
}

pub fn convert_schema(schema: &Schema, to: Layout) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| convert_field(field, to)).collect::<Fields>();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn convert_list<O: OffsetSizeTrait>(array: &ArrayRef, item: &FieldRef, to: Layout) -> Outcome<ArrayRef> {
    let list: &GenericListArray<O> = array.as_list();
    let values = convert_array(list.values(), to)?;
    Ok(Arc::new(GenericListArray::<O>::try_new(
        convert_field(item, to),
        list.offsets().clone(),
        values,
        list.nulls().cloned(),
    )?))
}

pub fn convert_array(array: &ArrayRef, to: Layout) -> Outcome<ArrayRef> {
    Ok(match (to, array.data_type()) {
        (Layout::Views, DataType::Utf8) => Arc::new(StringViewArray::from(array.as_bytes::<Utf8Type>())),
        (Layout::Views, DataType::LargeUtf8) => Arc::new(StringViewArray::from(array.as_bytes::<LargeUtf8Type>())),
        (Layout::Views, DataType::Binary) => Arc::new(BinaryViewArray::from(array.as_bytes::<BinaryType>())),
        (Layout::Views, DataType::LargeBinary) => Arc::new(BinaryViewArray::from(array.as_bytes::<LargeBinaryType>())),
        (Layout::Views, DataType::Dictionary(..)) => {
            let dictionary = array.as_any_dictionary();
            let values = convert_array(dictionary.values(), to)?;
            arrow_select::take::take(&values, dictionary.keys(), None)?
        }
        (Layout::Plain, DataType::Utf8View) => Arc::new(array.as_string_view().iter().collect::<StringArray>()),
        (Layout::Plain, DataType::BinaryView) => Arc::new(array.as_binary_view().iter().collect::<BinaryArray>()),
        (_, DataType::Struct(fields)) => {
            let of = array.as_struct();
            let columns = of.columns().iter().map(|column| convert_array(column, to)).collect::<Outcome<Vec<_>>>()?;
            let fields = fields.iter().map(|field| convert_field(field, to)).collect::<Fields>();
            Arc::new(StructArray::try_new_with_length(fields, columns, of.nulls().cloned(), of.len())?)
        }
        (_, DataType::List(item)) => convert_list::<i32>(array, item, to)?,
        (_, DataType::LargeList(item)) => convert_list::<i64>(array, item, to)?,
        (_, DataType::FixedSizeList(item, size)) => {
            let list = array.as_fixed_size_list();
            let values = convert_array(list.values(), to)?;
            Arc::new(FixedSizeListArray::try_new_with_length(
                convert_field(item, to),
                *size,
                values,
                list.nulls().cloned(),
                list.len(),
            )?)
        }
        (_, DataType::Map(entries, sorted)) => {
            let map = array.as_map();
            let of: ArrayRef = Arc::new(map.entries().clone());
            let converted = convert_array(&of, to)?;
            Arc::new(MapArray::try_new(
                convert_field(entries, to),
                map.offsets().clone(),
                converted.as_struct().clone(),
                map.nulls().cloned(),
                *sorted,
            )?)
        }
        _ => array.clone(),
    })
}

/// The batch with the layout that `schema` (made by `convert_schema`) names.
pub fn convert_batch(batch: &RecordBatch, schema: &SchemaRef, to: Layout) -> Outcome<RecordBatch> {
    let columns = batch.columns().iter().map(|column| convert_array(column, to)).collect::<Outcome<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}
