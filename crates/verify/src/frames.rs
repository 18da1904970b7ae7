//! Frames: how a candidate's answers are laid out in the bytes that it sends.
//!
//! A frame is the length of its payload (4 bytes), its kind (1 byte), and the payload. The
//! bytes come in pieces of any size. A length is only believed once so many bytes are there.

const HEADER: usize = 5;

/// A frame, or all the frames together, are larger than a submission may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// The bytes that came and have not been read yet.
#[derive(Debug)]
pub(crate) struct Frames {
    buffer: Vec<u8>,
    received: u64,
    bytes_max: u64,
}

impl Frames {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { buffer: Vec::new(), received: 0, bytes_max }
    }

    /// Takes what came.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.received += bytes.len() as u64;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame: its kind and its payload.
    pub(crate) fn next(&mut self) -> Result<Option<(u8, Vec<u8>)>, TooLarge> {
        if self.received > self.bytes_max {
            return Err(TooLarge);
        }
        let Some((header, rest)) = self.buffer.split_at_checked(HEADER) else { return Ok(None) };
        let size = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        if u64::from(size) > self.bytes_max {
            return Err(TooLarge);
        }
        let size = size as usize;
        if rest.len() < size {
            return Ok(None);
        }
        let (kind, payload) = (header[4], rest[..size].to_vec());
        self.buffer.drain(..HEADER + size);
        Ok(Some((kind, payload)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]], bytes_max: u64) -> Result<Vec<(u8, Vec<u8>)>, TooLarge> {
        let mut frames = Frames::new(bytes_max);
        let mut found = Vec::new();
        for piece in pieces {
            frames.push(piece);
            while let Some(frame) = frames.next()? {
                found.push(frame);
            }
        }
        Ok(found)
    }

    #[test]
    fn frames_do_not_depend_on_the_pieces_they_come_in() {
        let bytes = b"\x02\0\0\0\x01ab\0\0\0\0\x04\x01\0\0\0\x01c\x09\0\0\0\x01cut";
        let expected = Ok(vec![(1, b"ab".to_vec()), (4, Vec::new()), (1, b"c".to_vec())]);
        assert_eq!(all(&[bytes], 100), expected);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(all(&single, 100), expected);
        for at in 0..bytes.len() {
            let (a, b) = bytes.split_at(at);
            assert_eq!(all(&[a, b], 100), expected, "cut at {at}");
        }
    }

    #[test]
    fn too_much_is_refused_by_its_claim_and_by_its_sum() {
        assert_eq!(all(&[b"\xff\xff\xff\xff\x01"], 100), Err(TooLarge));
        assert_eq!(all(&[b"\x65\0\0\0\x01"], 100), Err(TooLarge));
        assert_eq!(all(&[&[0; 101]], 100), Err(TooLarge));
        assert_eq!(all(&[&[0; 100]], 100).map(|found| found.len()), Ok(20));
    }
}
