//! Arrow IPC files in which a buffer is compressed only where that saves a quarter of it at least: noise (half of a sum
//! of money is) costs more time to compress than a disk needs to take it. The format knows this by buffer; arrow-ipc's
//! own writer compresses all of them.
use std::io::Write;
use std::ops::Range;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::convert::IpcSchemaEncoder;
use arrow_ipc::writer::{IpcWriteOptions, StreamEncoder};
use arrow_ipc::{
    Block, BodyCompressionBuilder, BodyCompressionMethod, CompressionType, FooterBuilder, Message, MessageBuilder,
    MessageHeader, MetadataVersion, RecordBatchBuilder,
};
use arrow_schema::SchemaRef;
use flatbuffers::FlatBufferBuilder;
use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};

use crate::error::{Outcome, failure, status};

const MAGIC: &[u8; 6] = b"ARROW1";
const ALIGNMENT: usize = 64;
const PADDING: [u8; ALIGNMENT] = [0; ALIGNMENT];
/// Before the bytes of a buffer: how many it has once decompressed, or that it is not compressed.
const PREFIX: usize = 8;
const NOT_COMPRESSED: i64 = -1;
/// What lz4 looks at together: a column of a batch of 8-byte values.
const BLOCK: BlockSize = BlockSize::Max256KB;
/// Batches for which a buffer that did not shrink is not tried again.
const BATCHES_SKIPPED: u32 = 15;

fn padding_of(length: usize) -> usize {
    length.next_multiple_of(ALIGNMENT) - length
}

/// A buffer as it goes to the file.
enum Stored {
    Plain(Buffer),
    /// Its length before, and where it stands in what was compressed of this batch.
    Compressed(usize, Range<usize>),
}

impl Stored {
    fn length(&self) -> usize {
        match self {
            Stored::Plain(bytes) if bytes.is_empty() => 0,
            Stored::Plain(bytes) => PREFIX + bytes.len(),
            Stored::Compressed(_, range) => PREFIX + range.len(),
        }
    }
}

/// A message among those of a stream, which come in pieces.
struct Framed {
    /// Prefix, metadata and padding.
    head: Vec<u8>,
    body: Vec<Buffer>,
}

pub struct SparingWriter<W: Write> {
    sink: W,
    schema: SchemaRef,
    /// Gives the buffers of a batch as the format has them, without a copy; taken by `finish`.
    encoder: Option<StreamEncoder>,
    blocks: Vec<Block>,
    at: usize,
    /// By a buffer's place in a batch.
    skipped: Vec<u32>,
    /// Its memory is used for all batches; it writes to what is compressed of this one.
    compressor: FrameEncoder<Vec<u8>>,
}

impl<W: Write> SparingWriter<W> {
    pub fn open(mut sink: W, schema: SchemaRef) -> Outcome<Self> {
        let encoder = StreamEncoder::try_new_with_options(&schema, IpcWriteOptions::default())?;
        let pad = padding_of(MAGIC.len());
        sink.write_all(MAGIC)?;
        sink.write_all(&PADDING[..pad])?;
        Ok(SparingWriter {
            sink,
            schema,
            encoder: Some(encoder),
            blocks: Vec::new(),
            at: MAGIC.len() + pad,
            skipped: Vec::new(),
            compressor: FrameEncoder::with_frame_info(FrameInfo::new().block_size(BLOCK), Vec::new()),
        })
    }

    fn put(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.sink.write_all(bytes)?;
        self.at += bytes.len();
        Ok(())
    }

    fn put_stored(&mut self, stored: &Stored) -> Outcome<()> {
        match stored {
            Stored::Plain(bytes) if bytes.is_empty() => return Ok(()),
            Stored::Plain(bytes) => {
                self.put(&NOT_COMPRESSED.to_le_bytes())?;
                self.put(bytes)?;
            }
            Stored::Compressed(before, range) => {
                self.put(&(*before as i64).to_le_bytes())?;
                self.sink.write_all(&self.compressor.get_ref()[range.clone()])?;
                self.at += range.len();
            }
        }
        self.put(&PADDING[..padding_of(stored.length())])
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Outcome<()> {
        let encoder = self.encoder.as_mut().ok_or_else(|| failure(status::ERR_USAGE, "the file is finished"))?;
        for framed in frames(encoder.encode(batch)?)? {
            let message = message_of(&framed.head)?;
            match message.header_type() {
                MessageHeader::Schema => self.put(&framed.head)?,
                MessageHeader::RecordBatch => self.batch(&message, &framed.body)?,
                _ => return Err(failure(status::ERR_UNSUPPORTED, "dictionaries are not written to files of state")),
            }
        }
        Ok(())
    }

    fn batch(&mut self, message: &Message, body: &[Buffer]) -> Outcome<()> {
        let stored = self.stored(message, body)?;
        let (head, body_length) = batch_head(message, &stored)?;
        self.blocks.push(Block::new(self.at as i64, head.len() as i32, body_length as i64));
        self.put(&head)?;
        stored.iter().try_for_each(|buffer| self.put_stored(buffer))
    }

    /// Each buffer of a batch, compressed or not.
    fn stored(&mut self, message: &Message, body: &[Buffer]) -> Outcome<Vec<Stored>> {
        let lost = || failure(status::ERR_INTERNAL, "a batch's buffers are not where its message says");
        let batch = message.header_as_record_batch().ok_or_else(lost)?;
        let places = batch.buffers().ok_or_else(lost)?;
        self.skipped.resize(places.len(), 0);
        self.compressor.get_mut().clear();
        let mut pieces = body.iter();
        let (mut at, mut stored) = (0, Vec::with_capacity(places.len()));
        for (index, place) in places.iter().enumerate() {
            let (begin, length) = (place.offset() as usize, place.length() as usize);
            if length == 0 {
                stored.push(Stored::Plain(Buffer::from_vec(Vec::<u8>::new())));
                continue;
            }
            let mut piece = pieces.next().ok_or_else(lost)?;
            while at < begin {
                at += piece.len(); /* padding */
                piece = pieces.next().ok_or_else(lost)?;
            }
            if at != begin || piece.len() != length {
                return Err(lost());
            }
            at += length;
            stored.push(self.choose(index, piece)?);
        }
        Ok(stored)
    }

    fn choose(&mut self, index: usize, bytes: &Buffer) -> Outcome<Stored> {
        if self.skipped[index] > 0 {
            self.skipped[index] -= 1;
            return Ok(Stored::Plain(bytes.clone()));
        }
        let begin = self.compressor.get_ref().len();
        self.compressor.write_all(bytes)?;
        self.compressor.try_finish().map_err(|e| failure(status::ERR_INTERNAL, format!("compress: {e}")))?;
        let end = self.compressor.get_ref().len();
        if end - begin > bytes.len() / 4 * 3 {
            self.compressor.get_mut().truncate(begin);
            self.skipped[index] = BATCHES_SKIPPED;
            return Ok(Stored::Plain(bytes.clone()));
        }
        Ok(Stored::Compressed(bytes.len(), begin..end))
    }

    /// The end of the stream within the file, and the directory behind it.
    pub fn finish(&mut self) -> Outcome<()> {
        let encoder = self.encoder.take().ok_or_else(|| failure(status::ERR_USAGE, "the file is finished"))?;
        for piece in encoder.finish()? {
            self.put(&piece)?; /* with the schema, where there was no batch */
        }
        let mut builder = FlatBufferBuilder::new();
        let schema = IpcSchemaEncoder::new().schema_to_fb_offset(&mut builder, &self.schema);
        let dictionaries = builder.create_vector::<Block>(&[]);
        let batches = builder.create_vector(&self.blocks);
        let mut footer = FooterBuilder::new(&mut builder);
        footer.add_version(MetadataVersion::V5);
        footer.add_schema(schema);
        footer.add_dictionaries(dictionaries);
        footer.add_recordBatches(batches);
        let root = footer.finish();
        builder.finish(root, None);
        let bytes = builder.finished_data();
        self.put(bytes)?;
        self.put(&(bytes.len() as i32).to_le_bytes())?;
        self.put(MAGIC)
    }
}

/// The message in a frame: behind the mark and the length that begin it.
fn message_of(head: &[u8]) -> Outcome<Message<'_>> {
    arrow_ipc::root_as_message(&head[8..])
        .map_err(|e| failure(status::ERR_INTERNAL, format!("a message that can't be read: {e}")))
}

/// Puts the pieces of a stream together to messages; buffers stay as they are.
fn frames(pieces: Vec<Buffer>) -> Outcome<Vec<Framed>> {
    let mut frames = Vec::new();
    let mut pieces = pieces.into_iter().filter(|piece| !piece.is_empty()).peekable();
    while pieces.peek().is_some() {
        let mut head = Vec::new();
        while head.len() < 8 || head.len() < 8 + u32::from_le_bytes(head[4..8].try_into().unwrap()) as usize {
            let piece = pieces.next().ok_or_else(|| failure(status::ERR_INTERNAL, "a message is cut"))?;
            head.extend_from_slice(&piece);
        }
        let length = message_of(&head)?.bodyLength() as usize;
        let (mut body, mut at) = (Vec::new(), 0);
        while at < length {
            let piece = pieces.next().ok_or_else(|| failure(status::ERR_INTERNAL, "a message is cut"))?;
            at += piece.len();
            body.push(piece);
        }
        frames.push(Framed { head, body });
    }
    Ok(frames)
}

/// The frame of a batch like `message`, with the buffers that are stored, and the length of its body.
fn batch_head(message: &Message, stored: &[Stored]) -> Outcome<(Vec<u8>, usize)> {
    let batch = message.header_as_record_batch().unwrap();
    let mut at = 0;
    let places: Vec<arrow_ipc::Buffer> = stored
        .iter()
        .map(|buffer| {
            let place = arrow_ipc::Buffer::new(at as i64, buffer.length() as i64);
            at += buffer.length() + padding_of(buffer.length());
            place
        })
        .collect();
    let mut builder = FlatBufferBuilder::new();
    let nodes: Vec<arrow_ipc::FieldNode> = batch.nodes().iter().flatten().copied().collect();
    let nodes = builder.create_vector(&nodes);
    let buffers = builder.create_vector(&places);
    let counts: Option<Vec<i64>> = batch.variadicBufferCounts().map(|counts| counts.iter().collect());
    let counts = counts.map(|counts| builder.create_vector(&counts));
    let mut compression = BodyCompressionBuilder::new(&mut builder);
    compression.add_method(BodyCompressionMethod::BUFFER);
    compression.add_codec(CompressionType::LZ4_FRAME);
    let compression = compression.finish();
    let mut made = RecordBatchBuilder::new(&mut builder);
    made.add_length(batch.length());
    made.add_nodes(nodes);
    made.add_buffers(buffers);
    made.add_compression(compression);
    if let Some(counts) = counts {
        made.add_variadicBufferCounts(counts);
    }
    let header = made.finish().as_union_value();
    let mut made = MessageBuilder::new(&mut builder);
    made.add_version(MetadataVersion::V5);
    made.add_header_type(MessageHeader::RecordBatch);
    made.add_bodyLength(at as i64);
    made.add_header(header);
    let root = made.finish();
    builder.finish(root, None);
    let metadata = builder.finished_data();
    let padded = (PREFIX + metadata.len()).next_multiple_of(ALIGNMENT) - PREFIX;
    let mut head = Vec::with_capacity(PREFIX + padded);
    head.extend_from_slice(&[0xff; 4]);
    head.extend_from_slice(&(padded as u32).to_le_bytes());
    head.extend_from_slice(metadata);
    head.resize(PREFIX + padded, 0);
    Ok((head, at))
}
