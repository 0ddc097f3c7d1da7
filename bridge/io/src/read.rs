//! Reading: one handle for Parquet and both kinds of Arrow IPC, made of groups (row groups, record batches).
use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_ipc::reader::FileDecoder;
use arrow_ipc::{Block, MessageHeader, MetadataVersion};
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use parquet::basic::{LogicalType, TimeUnit};
use parquet::file::statistics::Statistics;

use crate::callback::{SIZE_UNKNOWN, Source};
use crate::convert::{Layout, convert_batch, convert_schema};
use crate::error::{Outcome, failure, status};

/// A compressed buffer of an IPC message that claims to become larger than this is damaged, not large.
const IPC_BUFFER_BYTES_MAX: i64 = 4 << 30;
const IPC_METADATA_BYTES_MAX: usize = 256 << 20;
const IPC_MAGIC: &[u8; 6] = b"ARROW1";
const PARQUET_MAGIC: &[u8; 4] = b"PAR1";

/// `struct bridge_group`
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct CGroup {
    pub rows: u64,
    pub offset: u64,
    pub bytes: u64,
}

/// Which rows a reader still has to hand out: the rest of `group` from `row` on, and the groups before `end`.
#[derive(Clone, Copy)]
pub struct Range {
    pub group: u64,
    pub end: u64,
    pub row: u64,
}

pub struct Reader {
    pub source: Source,
    body: Body,
    /// Schema of the whole file, in the layout that is handed out.
    full_schema: SchemaRef,
    /// Schema of the selected columns.
    pub schema: SchemaRef,
    layout: Option<Layout>,
    columns: Option<Vec<usize>>,
    /// Per top-level column the leaves to read, where fields of structs are left out (Parquet).
    leaves: Option<Vec<Vec<usize>>>,
    batch_rows: usize,
    range: Range,
    bounds: Vec<Bound>,
}

/// What a group must have to be read: values of a leaf from `least` to `most`, in the file's own unit.
struct Bound {
    leaf: usize,
    least: i128,
    most: i128,
}

/// As in bridge_io.h.
const BOUND_INTEGER: i32 = 0;
const BOUND_DATE: i32 = 1;
const BOUND_LOCAL: i32 = 2;
const BOUND_UTC: i32 = 3;

enum Body {
    Parquet { metadata: ArrowReaderMetadata, current: Option<ParquetRecordBatchReader> },
    IpcFile { decoder: FileDecoder, blocks: Vec<Block>, pending: Option<RecordBatch> },
    IpcStream { decoder: FileDecoder, offset: u64, ended: bool, next_group: u64, pending: Option<RecordBatch> },
}

impl Reader {
    /// Looks at the first bytes and opens what they are.
    pub fn open(source: Source, views: bool) -> Outcome<Reader> {
        let layout = views.then_some(Layout::Views);
        let mut magic = [0u8; 8];
        let got = source.read_up_to(0, &mut magic).map_err(|e| failure(status::ERR_IO, e.to_string()))?;
        if got >= 4 && magic[..4] == *PARQUET_MAGIC {
            return open_parquet(source, layout);
        }
        if got >= 6 && magic[..6] == *IPC_MAGIC {
            return open_ipc_file(source, layout);
        }
        if got == 8 && (magic[..4] == [0xff; 4] || (magic[2..4] == [0, 0] && magic[..4] != [0; 4])) {
            return open_ipc_stream(source, layout, magic);
        }
        if got == 0 {
            return Err(failure(status::ERR_CORRUPT, "empty: neither Parquet nor an Arrow IPC file or stream"));
        }
        Err(failure(status::ERR_CORRUPT, "neither Parquet nor an Arrow IPC file or stream"))
    }

    fn new(source: Source, body: Body, schema: SchemaRef, layout: Option<Layout>) -> Reader {
        let schema = layout.map_or(schema.clone(), |to| convert_schema(&schema, to));
        let mut reader = Reader {
            source,
            body,
            full_schema: schema.clone(),
            schema,
            layout,
            columns: None,
            leaves: None,
            batch_rows: 8192,
            range: Range { group: 0, end: 0, row: 0 },
            bounds: Vec::new(),
        };
        reader.range.end = reader.groups();
        reader
    }

    /// Row groups or record batches; u64::MAX for a stream, whose end is found by reading it.
    pub fn groups(&self) -> u64 {
        match &self.body {
            Body::Parquet { metadata, .. } => metadata.metadata().num_row_groups() as u64,
            Body::IpcFile { blocks, .. } => blocks.len() as u64,
            Body::IpcStream { .. } => u64::MAX,
        }
    }

    pub fn group(&self, index: u64) -> Outcome<CGroup> {
        let missing = || {
            let text = format!("group {index} is not there: the file has {}", self.groups());
            failure(status::ERR_USAGE, text)
        };
        let at = usize::try_from(index).map_err(|_| missing())?;
        match &self.body {
            Body::Parquet { metadata, .. } => {
                let group = metadata.metadata().row_groups().get(at).ok_or_else(missing)?;
                let starts = group.columns().iter().map(|column| column.byte_range().0);
                Ok(CGroup {
                    rows: group.num_rows().max(0) as u64,
                    offset: starts.min().unwrap_or(0),
                    bytes: group.compressed_size().max(0) as u64,
                })
            }
            Body::IpcFile { blocks, .. } => {
                let block = blocks.get(at).ok_or_else(missing)?;
                let bytes = block.bodyLength() as u64 + block.metaDataLength() as u64;
                Ok(CGroup { rows: u64::MAX, offset: block.offset() as u64, bytes })
            }
            Body::IpcStream { .. } => Err(failure(status::ERR_USAGE, "an Arrow IPC stream has no list of its batches")),
        }
    }

    /// Leaves out fields of structs; `wanted` as in bridge_io.h.
    pub fn prune(&mut self, wanted: &[bool]) -> Outcome<()> {
        let Body::Parquet { metadata, .. } = &self.body else { return Ok(()) };
        let misfit = || failure(status::ERR_USAGE, "the flags do not fit the fields of the file");
        let mut walk = Pruning { wanted, next_flag: 0, next_leaf: 0 };
        let (mut fields, mut leaves) = (Vec::new(), Vec::new());
        for field in self.full_schema.fields() {
            let mut mine = Vec::new();
            let kept = walk.field(field, true, &mut mine).ok_or_else(misfit)?;
            fields.push(kept.unwrap_or_else(|| field.clone()));
            leaves.push(mine);
        }
        if walk.next_flag != wanted.len() || walk.next_leaf != metadata.parquet_schema().num_columns() {
            return Err(misfit());
        }
        let schema = Schema::new_with_metadata(fields, self.full_schema.metadata().clone());
        self.full_schema = schema.into();
        self.schema = self.full_schema.clone();
        self.leaves = Some(leaves);
        Ok(())
    }

    pub fn select(&mut self, columns: Option<Vec<usize>>, batch_rows: usize) -> Outcome<()> {
        let all = self.full_schema.fields().len();
        if let Some(bad) = columns.iter().flatten().find(|index| **index >= all) {
            let text = format!("column {bad} is not there: the file has {all} columns");
            return Err(failure(status::ERR_USAGE, text));
        }
        self.schema = match &columns {
            Some(columns) => self.full_schema.project(columns)?.into(),
            None => self.full_schema.clone(),
        };
        self.columns = columns;
        if batch_rows > 0 {
            self.batch_rows = batch_rows;
        }
        let Range { group, end, row } = self.range;
        self.seek(group, end, row)
    }

    /// As stated in bridge_io.h; does nothing where it can't be sure.
    pub fn bound(&mut self, column: usize, kind: i32, per_second: i64, least: i64, most: i64) {
        let Body::Parquet { metadata, .. } = &self.body else { return };
        let Some(field) = self.full_schema.fields().get(column) else { return };
        let leaf = match &self.leaves {
            Some(leaves) if leaves[column].len() == 1 => leaves[column][0],
            Some(_) => return,
            None => self.full_schema.fields().iter().take(column).map(|field| leaf_count(field.data_type())).sum(),
        };
        let (has_least, has_most) = (least != i64::MIN, most != i64::MAX);
        let (mut least, mut most) = (least as i128, most as i128);
        match (kind, field.data_type()) {
            (BOUND_INTEGER, DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64) => {}
            (BOUND_DATE, DataType::Date32) => {}
            (BOUND_LOCAL | BOUND_UTC, DataType::Timestamp(..)) => {
                let stored = metadata.parquet_schema().column(leaf);
                let Some(LogicalType::Timestamp(stamp)) = stored.logical_type_ref() else { return };
                if stamp.is_adjusted_to_u_t_c != (kind == BOUND_UTC) {
                    return;
                }
                let of_file: i128 = match stamp.unit {
                    TimeUnit::MILLIS => 1_000,
                    TimeUnit::MICROS => 1_000_000,
                    TimeUnit::NANOS => 1_000_000_000,
                };
                // A coarser unit of the table cuts digits off: one more of its steps at each end is on the safe side.
                let of_table = per_second as i128;
                let slack = (of_file > of_table) as i128;
                least = (least - slack) * of_file / of_table - slack;
                most = (most + slack) * of_file / of_table + slack;
                if of_table > of_file {
                    (least, most) = (least - 1, most + 1); // the division has cut towards zero
                }
            }
            _ => return,
        }
        let (least, most) = (if has_least { least } else { i128::MIN }, if has_most { most } else { i128::MAX });
        self.bounds.push(Bound { leaf, least, most });
    }

    /// Whether the statistics of a group say that none of its rows is within all bounds.
    fn is_outside(&self, group: u64) -> bool {
        let Body::Parquet { metadata, .. } = &self.body else { return false };
        let columns = metadata.metadata().row_group(group as usize).columns();
        self.bounds.iter().any(|bound| {
            let range = match columns.get(bound.leaf).and_then(|column| column.statistics()) {
                Some(Statistics::Int32(of)) => of.min_opt().zip(of.max_opt()).map(|(a, b)| (*a as i128, *b as i128)),
                Some(Statistics::Int64(of)) => of.min_opt().zip(of.max_opt()).map(|(a, b)| (*a as i128, *b as i128)),
                _ => None,
            };
            range.is_some_and(|(min, max)| max < bound.least || min > bound.most)
        })
    }

    pub fn seek(&mut self, group: u64, end: u64, row: u64) -> Outcome<()> {
        let groups = self.groups();
        if group > end || (end > groups && end != u64::MAX) {
            let text = format!("groups {group} to {end} are not there: the file has {groups}");
            return Err(failure(status::ERR_USAGE, text));
        }
        match &mut self.body {
            Body::Parquet { current, .. } => *current = None,
            Body::IpcFile { pending, .. } => *pending = None,
            Body::IpcStream { next_group, pending, .. } => {
                if group < *next_group && !(group == self.range.group && row == self.range.row) {
                    return Err(failure(status::ERR_USAGE, "an Arrow IPC stream can't be read backwards"));
                }
                if group > *next_group {
                    *pending = None;
                }
            }
        }
        self.range = Range { group, end: end.min(groups), row };
        Ok(())
    }

    pub fn position(&self) -> (u64, u64) {
        (self.range.group, self.range.row)
    }

    /// The next rows, at most `batch_rows` and from one group; None at the end of the range.
    pub fn next(&mut self) -> Outcome<Option<RecordBatch>> {
        loop {
            if self.range.group >= self.range.end {
                return Ok(None);
            }
            if self.range.row == 0 && !self.bounds.is_empty() && self.is_outside(self.range.group) {
                self.range.group += 1;
                continue;
            }
            match self.next_of_group()? {
                Some(batch) if batch.num_rows() == 0 => {}
                Some(batch) => {
                    self.range.row += batch.num_rows() as u64;
                    return Ok(Some(batch));
                }
                None => {
                    if matches!(&self.body, Body::IpcStream { ended: true, .. }) {
                        self.range.end = self.range.group;
                        return Ok(None);
                    }
                    self.range.group += 1;
                    self.range.row = 0;
                }
            }
        }
    }

    fn next_of_group(&mut self) -> Outcome<Option<RecordBatch>> {
        let Range { group, row, .. } = self.range;
        match &mut self.body {
            Body::Parquet { metadata, current } => {
                if current.is_none() {
                    let made = parquet_group_reader(
                        &self.source,
                        metadata,
                        self.columns.as_deref(),
                        self.leaves.as_deref(),
                        self.batch_rows,
                        &self.range,
                    )?;
                    *current = Some(made);
                }
                let reader = current.as_mut().unwrap();
                let Some(batch) = reader.next().transpose()? else {
                    let rows = metadata.metadata().row_group(group as usize).num_rows().max(0) as u64;
                    if row != rows {
                        let text = format!("row group {group} ends after {row} of {rows} rows");
                        return Err(failure(status::ERR_CORRUPT, text));
                    }
                    *current = None;
                    return Ok(None);
                };
                parquet_order(batch, &reader.schema(), &self.schema).map(Some)
            }
            Body::IpcFile { decoder, blocks, pending } => {
                if pending.is_none() {
                    let block = &blocks[group as usize];
                    let buffer = ipc_block_read(&self.source, block)?;
                    let batch = decoder.read_record_batch(block, &buffer)?;
                    *pending = Some(batch.ok_or_else(|| failure(status::ERR_CORRUPT, "an IPC block without a batch"))?);
                }
                slice_pending(pending, row, self.batch_rows, self.columns.as_deref(), &self.schema, self.layout)
            }
            Body::IpcStream { decoder, offset, ended, next_group, pending } => {
                while pending.is_none() || *next_group <= group {
                    if *next_group > group {
                        return Ok(None);
                    }
                    let keep = *next_group == group;
                    match ipc_stream_next(&self.source, decoder, offset, keep)? {
                        StreamItem::Batch(batch) => {
                            *pending = batch;
                            *next_group += 1;
                        }
                        StreamItem::Other => {}
                        StreamItem::End => {
                            *ended = true;
                            return Ok(None);
                        }
                    }
                }
                slice_pending(pending, row, self.batch_rows, self.columns.as_deref(), &self.schema, self.layout)
            }
        }
    }
}

/// Hands out the rows of a decoded record batch in slices, which share its memory.
fn slice_pending(
    pending: &mut Option<RecordBatch>,
    row: u64,
    batch_rows: usize,
    columns: Option<&[usize]>,
    schema: &SchemaRef,
    layout: Option<Layout>,
) -> Outcome<Option<RecordBatch>> {
    let Some(batch) = pending else { return Ok(None) };
    let begin = row.min(batch.num_rows() as u64) as usize;
    let length = batch_rows.min(batch.num_rows() - begin);
    if length == 0 {
        *pending = None;
        return Ok(None);
    }
    let mut slice = batch.slice(begin, length);
    if let Some(columns) = columns {
        slice = slice.project(columns)?;
    }
    Ok(Some(match layout {
        Some(to) => convert_batch(&slice, schema, to)?,
        None => slice,
    }))
}

/// The way through a schema's fields and through the leaves of the Parquet file under them, side by side.
struct Pruning<'a> {
    wanted: &'a [bool],
    next_flag: usize,
    next_leaf: usize,
}

impl Pruning<'_> {
    /// What is left of a field (None: nothing), and in `leaves` what of it is to be read. The outer None: flags are missing.
    fn field(&mut self, field: &FieldRef, parent: bool, leaves: &mut Vec<usize>) -> Option<Option<FieldRef>> {
        let wanted = *self.wanted.get(self.next_flag)? && parent;
        self.next_flag += 1;
        let DataType::Struct(children) = field.data_type() else {
            let first = self.next_leaf;
            self.next_leaf += leaf_count(field.data_type());
            if wanted {
                leaves.extend(first..self.next_leaf);
            }
            return Some(wanted.then(|| field.clone()));
        };
        let mut kept = Vec::new();
        for child in children {
            kept.extend(self.field(child, wanted, leaves)?);
        }
        if !wanted {
            return Some(None);
        }
        let fields: Fields = kept.into();
        Some(Some(Field::clone(field).with_data_type(DataType::Struct(fields)).into()))
    }
}

/// How many columns of a Parquet file hold a value of this type.
fn leaf_count(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => fields.iter().map(|field| leaf_count(field.data_type())).sum(),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => leaf_count(item.data_type()),
        _ => 1,
    }
}

fn open_parquet(source: Source, layout: Option<Layout>) -> Outcome<Reader> {
    if source.size() == SIZE_UNKNOWN {
        return Err(failure(status::ERR_UNSUPPORTED, "Parquet can't be read from a pipe: its directory is at its end"));
    }
    let mut metadata = ArrowReaderMetadata::load(&source, ArrowReaderOptions::new())?;
    if let Some(to) = layout {
        let schema = convert_schema(metadata.schema(), to);
        if schema != *metadata.schema() {
            let options = ArrowReaderOptions::new().with_schema(schema);
            metadata = ArrowReaderMetadata::try_new(metadata.metadata().clone(), options)?;
        }
    }
    let schema = metadata.schema().clone();
    Ok(Reader::new(source, Body::Parquet { metadata, current: None }, schema, layout))
}

fn parquet_group_reader(
    source: &Source,
    metadata: &ArrowReaderMetadata,
    columns: Option<&[usize]>,
    leaves: Option<&[Vec<usize>]>,
    batch_rows: usize,
    range: &Range,
) -> Outcome<ParquetRecordBatchReader> {
    let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(source.clone(), metadata.clone())
        .with_row_groups(vec![range.group as usize])
        .with_batch_size(batch_rows);
    if let Some(columns) = columns {
        let parquet = metadata.parquet_schema();
        let mask = match leaves {
            Some(leaves) => ProjectionMask::leaves(parquet, columns.iter().flat_map(|c| leaves[*c].iter().copied())),
            None => ProjectionMask::roots(parquet, columns.iter().copied()),
        };
        builder = builder.with_projection(mask);
    }
    if range.row > 0 {
        builder = builder.with_offset(range.row as usize);
    }
    Ok(builder.build()?)
}

/// Parquet hands out selected columns in the file's order; the caller gets them in its own.
fn parquet_order(batch: RecordBatch, have: &SchemaRef, want: &SchemaRef) -> Outcome<RecordBatch> {
    if have.fields() == want.fields() {
        return Ok(batch);
    }
    let order = want.fields().iter().map(|field| have.index_of(field.name())).collect::<Result<Vec<_>, _>>()?;
    Ok(batch.project(&order)?)
}

fn corrupt(text: &str) -> crate::error::Failure {
    failure(status::ERR_CORRUPT, text)
}

/// Refuses what would make the decoder reserve absurd amounts of memory.
fn ipc_compression_check(message: &arrow_ipc::Message, body: &[u8]) -> Outcome<()> {
    let batch = match message.header_type() {
        MessageHeader::RecordBatch => message.header_as_record_batch(),
        MessageHeader::DictionaryBatch => message.header_as_dictionary_batch().and_then(|batch| batch.data()),
        _ => None,
    };
    let Some(batch) = batch else { return Ok(()) };
    if batch.compression().is_none() {
        return Ok(());
    }
    for buffer in batch.buffers().iter().flatten() {
        let begin = usize::try_from(buffer.offset()).map_err(|_| corrupt("a buffer lies outside its message"))?;
        let prefix = body.get(begin..).and_then(|rest| rest.get(..8));
        if buffer.length() < 8 {
            continue;
        }
        let Some(prefix) = prefix else { return Err(corrupt("a buffer lies outside its message")) };
        let length = i64::from_le_bytes(prefix.try_into().unwrap());
        if !(-1..=IPC_BUFFER_BYTES_MAX).contains(&length) {
            return Err(corrupt("a compressed buffer has an impossible length"));
        }
    }
    Ok(())
}

/// The metadata of an encapsulated message without its length prefix.
fn ipc_metadata(bytes: &[u8]) -> &[u8] {
    if bytes[..4] == [0xff; 4] { &bytes[8..] } else { &bytes[4..] }
}

fn ipc_message(bytes: &[u8]) -> Outcome<arrow_ipc::Message<'_>> {
    arrow_ipc::root_as_message(bytes).map_err(|e| failure(status::ERR_CORRUPT, format!("damaged IPC message: {e}")))
}

fn ipc_block_read(source: &Source, block: &Block) -> Outcome<Buffer> {
    let bad = || corrupt("the footer names a block that can't be");
    let metadata = usize::try_from(block.metaDataLength()).map_err(|_| bad())?;
    let body = usize::try_from(block.bodyLength()).map_err(|_| bad())?;
    let offset = u64::try_from(block.offset()).map_err(|_| bad())?;
    let length = metadata.checked_add(body).ok_or_else(bad)?;
    if metadata < 8 {
        return Err(bad());
    }
    let buffer = source.read_buffer(offset, length, "a record batch")?;
    ipc_compression_check(&ipc_message(ipc_metadata(&buffer[..metadata]))?, &buffer[metadata..])?;
    Ok(buffer)
}

fn open_ipc_file(source: Source, layout: Option<Layout>) -> Outcome<Reader> {
    let size = source.size();
    if size == SIZE_UNKNOWN {
        let text = "an Arrow IPC file can't be read from a pipe (its directory is at its end): write an IPC stream";
        return Err(failure(status::ERR_UNSUPPORTED, text));
    }
    if size < 18 {
        return Err(corrupt("truncated: no footer"));
    }
    let trailer = source.read_buffer(size - 10, 10, "the footer")?;
    if trailer[4..] != *IPC_MAGIC {
        return Err(corrupt("truncated: an Arrow IPC file must end with ARROW1"));
    }
    let footer_length = i32::from_le_bytes(trailer[..4].try_into().unwrap());
    if footer_length <= 0 || footer_length as u64 > size - 18 {
        return Err(corrupt("the length of the footer is larger than the file"));
    }
    let footer_length = footer_length as usize;
    let footer_bytes = source.read_buffer(size - 10 - footer_length as u64, footer_length, "the footer")?;
    let footer = arrow_ipc::root_as_footer(&footer_bytes)
        .map_err(|e| failure(status::ERR_CORRUPT, format!("damaged footer: {e}")))?;
    let ipc_schema = footer.schema().ok_or_else(|| corrupt("the footer has no schema"))?;
    if ipc_schema.endianness() != arrow_ipc::Endianness::Little {
        return Err(failure(status::ERR_UNSUPPORTED, "a big-endian Arrow file"));
    }
    let schema: SchemaRef = arrow_ipc::convert::try_fb_to_schema(ipc_schema)?.into();
    let mut decoder = FileDecoder::new(schema.clone(), footer.version());
    for block in footer.dictionaries().iter().flatten() {
        let buffer = ipc_block_read(&source, block)?;
        decoder.read_dictionary(block, &buffer)?;
    }
    let blocks = footer.recordBatches().iter().flatten().copied().collect();
    Ok(Reader::new(source, Body::IpcFile { decoder, blocks, pending: None }, schema, layout))
}

struct Frame {
    /// Length prefix and metadata.
    head: Buffer,
    body_offset: u64,
    body_length: usize,
}

impl Frame {
    fn message(&self) -> Outcome<arrow_ipc::Message<'_>> {
        ipc_message(ipc_metadata(&self.head))
    }
}

/// The next message's metadata; None at the end mark, or at the end of the bytes between two messages.
fn ipc_frame(source: &Source, offset: u64, peeked: Option<[u8; 8]>) -> Outcome<Option<Frame>> {
    let mut prefix = [0u8; 8];
    let got = match peeked {
        Some(bytes) => {
            prefix = bytes;
            8
        }
        None => source.read_up_to(offset, &mut prefix[..4]).map_err(|e| failure(status::ERR_IO, e.to_string()))?,
    };
    if got == 0 {
        return Ok(None);
    }
    if got < 4 {
        return Err(corrupt("truncated: the stream ends inside a message"));
    }
    let marked = prefix[..4] == [0xff; 4];
    let prefix_length = if marked { 8 } else { 4 };
    if peeked.is_none() && marked {
        let rest = source.read_buffer(offset + 4, 4, "the length of a message")?;
        prefix[4..].copy_from_slice(&rest);
    }
    let length = i32::from_le_bytes(prefix[prefix_length - 4..prefix_length].try_into().unwrap());
    if length == 0 {
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(|_| corrupt("a message of negative length"))?;
    if length > IPC_METADATA_BYTES_MAX {
        return Err(corrupt("the description of a message is impossibly large"));
    }
    /* A pipe can't be read twice, so what was looked at is joined with what follows. */
    let have = if peeked.is_some() { 8 - prefix_length } else { 0 };
    if length < have {
        return Err(corrupt("a message is too short"));
    }
    let rest =
        source.read_buffer(offset + (prefix_length + have) as u64, length - have, "the description of a message")?;
    let mut head = MutableBuffer::new(prefix_length + length);
    head.extend_from_slice(&prefix[..prefix_length + have]);
    head.extend_from_slice(&rest);
    let mut frame = Frame { head: head.into(), body_offset: offset + (prefix_length + length) as u64, body_length: 0 };
    let body = frame.message()?.bodyLength();
    frame.body_length = usize::try_from(body).map_err(|_| corrupt("a message of negative length"))?;
    Ok(Some(frame))
}

fn open_ipc_stream(source: Source, layout: Option<Layout>, peeked: [u8; 8]) -> Outcome<Reader> {
    let none = || corrupt("an Arrow IPC stream must begin with its schema");
    let frame = ipc_frame(&source, 0, Some(peeked))?.ok_or_else(none)?;
    let (schema, version): (SchemaRef, MetadataVersion) = {
        let message = frame.message()?;
        let ipc_schema = message.header_as_schema().ok_or_else(none)?;
        if ipc_schema.endianness() != arrow_ipc::Endianness::Little {
            return Err(failure(status::ERR_UNSUPPORTED, "a big-endian Arrow stream"));
        }
        (arrow_ipc::convert::try_fb_to_schema(ipc_schema)?.into(), message.version())
    };
    let body = Body::IpcStream {
        decoder: FileDecoder::new(schema.clone(), version),
        offset: frame.body_offset + frame.body_length as u64,
        ended: false,
        next_group: 0,
        pending: None,
    };
    Ok(Reader::new(source, body, schema, layout))
}

enum StreamItem {
    Batch(Option<RecordBatch>),
    Other,
    End,
}

/// Takes the next message: dictionaries are kept, a batch is decoded when `keep` is set.
fn ipc_stream_next(source: &Source, decoder: &mut FileDecoder, offset: &mut u64, keep: bool) -> Outcome<StreamItem> {
    let Some(frame) = ipc_frame(source, *offset, None)? else { return Ok(StreamItem::End) };
    let message = frame.message()?;
    let after = frame.body_offset.checked_add(frame.body_length as u64).ok_or_else(|| corrupt("an endless message"))?;
    let header = message.header_type();
    if header == MessageHeader::RecordBatch && !keep && source.size() != SIZE_UNKNOWN {
        *offset = after;
        return Ok(StreamItem::Batch(None));
    }
    /* The decoder wants the message as in a file, in one buffer; the body must stay aligned in it. */
    let head_length = frame.head.len().next_multiple_of(64);
    let mut joined = MutableBuffer::new(head_length);
    joined.extend_from_slice(&frame.head);
    joined.resize(head_length, 0);
    let joined: Buffer = source.read_after(joined, frame.body_offset, frame.body_length, "a record batch")?.into();
    *offset = after;
    ipc_compression_check(&message, &joined[head_length..])?;
    let block = Block::new(0, head_length as i32, frame.body_length as i64);
    match header {
        MessageHeader::RecordBatch => Ok(StreamItem::Batch(decoder.read_record_batch(&block, &joined)?)),
        MessageHeader::DictionaryBatch => {
            decoder.read_dictionary(&block, &joined)?;
            Ok(StreamItem::Other)
        }
        MessageHeader::Schema => Err(corrupt("a second schema inside an Arrow IPC stream")),
        _ => Err(failure(status::ERR_UNSUPPORTED, "a message that is neither a batch nor a dictionary")),
    }
}
