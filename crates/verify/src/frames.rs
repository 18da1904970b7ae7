//! Frames: how a candidate's answers are laid out in the bytes that it sends.
//!
//! A frame is the length of its payload (4 bytes), its kind (1 byte), and the payload. The
//! bytes come in pieces of any size. A length is only believed once so many bytes are there.

const HEADER: usize = 5;
/// The kind of the frame that says that the program is loaded, where that is asked for.
pub(crate) const LOADED: u8 = 8;

/// Whether a frame of this kind is the answer to a test.
pub(crate) fn is_result(kind: u8) -> bool {
    matches!(kind, 1 | 3 | 4)
}

/// A frame claims to be larger than a submission may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// Takes the first frame, its kind and its payload, if all of it is in the buffer.
pub(crate) fn next(
    buffer: &mut Vec<u8>,
    bytes_max: u64,
) -> Result<Option<(u8, Vec<u8>)>, TooLarge> {
    let Some((header, rest)) = buffer.split_at_checked(HEADER) else { return Ok(None) };
    let size = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    if u64::from(size) > bytes_max {
        return Err(TooLarge);
    }
    let size = size as usize;
    if rest.len() < size {
        return Ok(None);
    }
    let (kind, payload) = (header[4], rest[..size].to_vec());
    buffer.drain(..HEADER + size);
    Ok(Some((kind, payload)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]]) -> Result<Vec<(u8, Vec<u8>)>, TooLarge> {
        let (mut buffer, mut found) = (Vec::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            while let Some(frame) = next(&mut buffer, 100)? {
                found.push(frame);
            }
        }
        Ok(found)
    }

    #[test]
    fn frames_do_not_depend_on_the_pieces_they_come_in() {
        let bytes = b"\x02\0\0\0\x01ab\0\0\0\0\x04\x01\0\0\0\x01c\x09\0\0\0\x01cut";
        let expected = Ok(vec![(1, b"ab".to_vec()), (4, Vec::new()), (1, b"c".to_vec())]);
        assert_eq!(all(&[bytes]), expected);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(all(&single), expected);
        for at in 0..bytes.len() {
            let (a, b) = bytes.split_at(at);
            assert_eq!(all(&[a, b]), expected, "cut at {at}");
        }
    }

    #[test]
    fn a_claim_beyond_the_limit_is_refused_before_its_bytes_come() {
        assert_eq!(all(&[b"\xff\xff\xff\xff\x01"]), Err(TooLarge));
        assert_eq!(all(&[b"\x65\0\0\0\x01"]), Err(TooLarge));
        assert_eq!(all(&[b"\x64\0\0\0\x01"]), Ok(Vec::new()));
    }
}
