//! Lossless compression: entropy coding with the conditionals of any model over symbols.
//!
//! ```text
//! for t in 0..n:   x_t <-> the part of the interval [0, 1) that p(x_t | x_<t) gives it
//! size ≈ −Σ log₂ p(x)   bits
//! ```
//!
//! The decoder walks as the encoder does ([`crate::parts::walk`]): it knows x_<t, computes the same conditional to
//! the bit, and the stream says what x_t is. A model with classes or masks is walked as the mixture that its
//! likelihood is; labels are neither needed nor stored. The size is that of −log₂ p and at most 0.5 % and
//! 64 bytes more, unless the model is so sure of itself that a variable costs less than 0.002 bits
//! (0.1 bits with 256 levels).
//!
//! # Streams
//! Some events walk together, position by position; walks follow each other in a stream, and a stream ends
//! after the walk that brought it to 16 KiB. Which events share a stream follows from the data and the model
//! alone, so a file is the same for any number of threads.
//!
//! # Arithmetic
//! Instruction sets round differently, and a wrong last bit in one conditional garbles all that follows.
//! The header says what computed the conditionals ([`Arithmetic`]); a decoder uses the same or says that it
//! cannot. The events' digest in the header is compared before [`Codec::decompress`] returns anything, so
//! nothing is ever decoded to something else than was encoded.
//!
//! An order-agnostic NADE is coded along its first ordering, since its ensemble has no walk.
//!
//! # Memory
//! Decoding takes the file, the model, per thread the state of as many walks as go together (at most four
//! times as many as the encoder would choose), and the events, a byte per value: at most 2^31, and they grow
//! only as streams deliver them. A stream that ends early is an error where it ends.
//!
//! # References
//! Martin, *Range encoding: an algorithm for removing redundancy from a digitised message*, 1979; Bamler,
//! *Understanding Entropy Coding With Asymmetric Numeral Systems (ANS)*, 2022, arXiv:2201.01741, whose
//! library `constriction` has the range coder used here.
//!
//! [`Header`] has the format of a file. Tables of columns of different types are [`TableCodec`]'s.

mod coder;
mod columns;
mod digest;
mod format;
mod streams;

use ar_kernels::Isa;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

pub use crate::foundation::fault::Fault;
pub use crate::parts::walker::Arithmetic;
pub use columns::{Cells, Compressed, Others, TableCodec, TableHeader};
pub use format::{Header, Source};

use coder::{Frequencies, Interval, Reader, least_bits};
use digest::{digest_of_model, hex};
use format::{MOST_VALUES, first};
use streams::{MOST_TOGETHER, Streams, apart};

use crate::foundation::error::Error;
use crate::foundation::event::EventSpec;
use crate::foundation::examples::Examples;
use crate::model::Model;
use crate::model::config::ModelConfig;
use crate::parts::walker::Walker;

/// A model as a coder of events.
#[derive(Debug)]
pub struct Codec<'a> {
    model: &'a Model,
    shape: Vec<usize>,
    levels: usize,
    digest: [u8; 8],
}

impl<'a> Codec<'a> {
    /// A coder with `model`, which was made from `config` for such events.
    ///
    /// # Errors
    /// When the model is of real numbers.
    pub fn new(model: &'a Model, config: &ModelConfig, event: &EventSpec) -> Result<Self, Error> {
        let what = match event.columns {
            Some(_) => "columns of different types, which `TableCodec` is for",
            None => "real numbers, whose densities are no probabilities",
        };
        let none = Fault::NoSymbols { model: model.kind(), what };
        let levels = event.levels.ok_or_else(|| none.clone())?;
        model.walker(levels, Isa::Portable).ok_or(none)?;
        let digest = digest_of_model(model, &(config, &event.shape, levels))?;
        Ok(Self { model, shape: event.shape.clone(), levels, digest })
    }

    /// The digest of the model as it stands in files, in hexadecimal.
    pub fn digest(&self) -> String {
        hex(&self.digest)
    }

    /// What computes the conditionals, if an instruction set is to be used where there is a choice.
    pub fn arithmetic(&self, isa: Isa) -> Arithmetic {
        self.walker(isa).arithmetic()
    }

    fn walker(&self, isa: Isa) -> Box<dyn Walker + 'a> {
        self.model.walker(self.levels, isa).expect("`new` has tried")
    }

    /// Compresses all events of a set, and tells `progress` how many are done.
    ///
    /// # Errors
    /// When the set is not of the model's events, or has more than 2^31 values.
    pub fn compress(
        &self,
        data: &dyn Examples,
        source: Source,
        isa: Isa,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<u8>, Error> {
        let (variables, events) = (self.model.variables(), data.len());
        let mismatch = |needed, found| Error::Mismatch { model: self.model.kind(), needed, found };
        if data.is_real() {
            return Err(mismatch("symbols".into(), "real numbers".into()));
        }
        if data.variables() != variables {
            return Err(mismatch(format!("{variables} variables"), data.variables().to_string()));
        }
        let values = (variables as u64).saturating_mul(events as u64);
        if values > MOST_VALUES {
            return Err(Fault::TooLarge { values, most: MOST_VALUES }.into());
        }
        let walker = self.walker(isa);
        let together = walker.together();
        let (mut content, mut streams) = (Sha256::new(), Streams::default());
        let (mut rows, group) = (Vec::new(), together * rayon::current_num_threads().max(1));
        for start in (0..events).step_by(group) {
            let end = (start + group).min(events);
            data.read(0, &(start..end).collect::<Vec<_>>(), &mut rows);
            if let Some(&symbol) = rows.iter().find(|&&x| usize::from(x) >= self.levels) {
                return Err(mismatch(
                    format!("values below {}", self.levels),
                    format!("a {symbol}"),
                ));
            }
            content.update(&rows);
            let walks: Vec<(usize, Vec<Interval>)> = rows
                .par_chunks(together * variables)
                .map(|rows| (rows.len() / variables, self.intervals(walker.as_ref(), rows)))
                .collect();
            walks.into_iter().for_each(|(events, intervals)| streams.push(events, intervals));
            progress(end);
        }
        let (streams, payload) = streams.finish();
        let header = Header {
            arithmetic: walker.arithmetic(),
            source,
            levels: self.levels,
            shape: self.shape.clone(),
            events,
            model: self.digest,
            together,
            streams,
            content: first(content),
        };
        Ok(header.write(&payload))
    }

    /// What events that walk together put into a stream.
    fn intervals(&self, walker: &dyn Walker, rows: &[u8]) -> Vec<Interval> {
        let variables = self.model.variables();
        let ordering = self.model.ordering();
        let mut intervals = Vec::with_capacity(rows.len());
        let mut frequencies = Frequencies::default();
        walker.walk(rows.len() / variables, &mut |t, row, logits| {
            let symbol = rows[row * variables + ordering[t]];
            frequencies.set(logits);
            intervals.push(frequencies.of(symbol));
            symbol
        });
        intervals
    }

    /// The events of a file, `[events, variables]` in event order. Tells `progress` how many are done.
    ///
    /// # Errors
    /// When the file is damaged, of another model, or needs arithmetic that this machine does not have.
    pub fn decompress(
        &self,
        file: &[u8],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<u8>, Fault> {
        let (header, payload) = Header::read_with_payload(file)?;
        if header.model != self.digest {
            let (found, expected) = (hex(&header.model), self.digest());
            return Err(Fault::OtherModel { found, expected });
        }
        if header.shape != self.shape || header.levels != self.levels {
            return Err(Fault::Damaged("header"));
        }
        let walker = self.walker_for(header.arithmetic)?;
        // Whoever walks with more at a time wants memory, not speed.
        if header.together > MOST_TOGETHER * walker.together() {
            return Err(Fault::Damaged("header"));
        }
        let (variables, levels) = (self.model.variables(), self.levels);
        let streams = apart(&header.streams, payload, least_bits(levels) * variables as f64)?;
        let (mut values, mut content) = (Vec::new(), Sha256::new());
        for group in streams.chunks(rayon::current_num_threads().max(1)) {
            let parts: Vec<Result<Vec<u8>, Fault>> = group
                .par_iter()
                .map(|&(events, bytes)| {
                    self.events_of(walker.as_ref(), events, header.together, bytes)
                })
                .collect();
            for part in parts {
                // The digests are right, so the stream is what was written: the walk is not.
                let part = part.map_err(|_| other_content(&header))?;
                content.update(&part);
                values.extend(part);
            }
            progress(values.len() / variables.max(1));
        }
        if first(content) != header.content {
            return Err(other_content(&header));
        }
        Ok(values)
    }

    /// The walk that computed a file's conditionals.
    fn walker_for(&self, arithmetic: Arithmetic) -> Result<Box<dyn Walker + 'a>, Fault> {
        let mut here = Vec::new();
        // The widest first: of arithmetic that does not depend on the set, it is the fastest.
        for isa in Isa::available().into_iter().rev() {
            let walker = self.walker(isa);
            if walker.arithmetic() == arithmetic {
                return Ok(walker);
            }
            let name = walker.arithmetic().to_string();
            if !here.contains(&name) {
                here.push(name);
            }
        }
        Err(Fault::Arithmetic { found: arithmetic.to_string(), here: here.join(", ") })
    }

    /// The events of one stream.
    fn events_of(
        &self,
        walker: &dyn Walker,
        events: usize,
        together: usize,
        bytes: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        let variables = self.model.variables();
        let ordering = self.model.ordering();
        let broken = |_| Fault::Damaged("content");
        let mut reader = Reader::new(bytes).map_err(broken)?;
        let mut frequencies = Frequencies::default();
        let mut values = Vec::new();
        for start in (0..events).step_by(together) {
            let n = together.min(events - start);
            let first = values.len();
            values.resize(first + n * variables, 0);
            let (rows, mut end) = (&mut values[first..], Ok(()));
            walker.walk(n, &mut |t, row, logits| {
                if end.is_err() {
                    return 0;
                }
                frequencies.set(logits);
                match reader.next(&frequencies) {
                    Ok(symbol) => {
                        rows[row * variables + ordering[t]] = symbol;
                        symbol
                    }
                    Err(broken) => {
                        end = Err(broken);
                        0
                    }
                }
            });
            end.map_err(broken)?;
        }
        reader.finish().map_err(broken)?;
        Ok(values)
    }
}

fn other_content(header: &Header) -> Fault {
    Fault::OtherContent { arithmetic: header.arithmetic.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundation::examples::InMemory;
    use burn::tensor::Device;

    #[test]
    fn a_walk_that_is_not_the_encoders_is_noticed() {
        // Negative control of the digest of the events: the same file, the model's digest forged.
        let event = EventSpec::symbols(vec![6, 6], 2);
        let data = InMemory::new((0..36 * 50).map(|k| u8::from(k % 3 == 0)).collect(), 36);
        let init = |seed| {
            let config = ModelConfig::Nade {
                hidden: 9,
                ordering: Default::default(),
                init_scale: 0.5,
                classes: None,
                components: 8,
                likelihood: Default::default(),
            };
            let model = Model::init(&config, &event, &data, seed, &Device::default()).unwrap();
            (config, model)
        };
        let ((config, own), (_, other)) = (init(1), init(2));
        let codec = Codec::new(&own, &config, &event).unwrap();
        let file = codec.compress(&data, Source::Unchanged, Isa::detect(), &mut |_| ()).unwrap();
        let forged = Codec { model: &other, ..Codec::new(&own, &config, &event).unwrap() };
        let fault = forged.decompress(&file, &mut |_| ()).unwrap_err();
        assert_eq!(fault, Fault::OtherContent { arithmetic: Isa::detect().name().into() });
        let honest = Codec::new(&other, &config, &event).unwrap();
        let fault = honest.decompress(&file, &mut |_| ()).unwrap_err();
        assert!(matches!(fault, Fault::OtherModel { .. }), "{fault}");
    }
}
