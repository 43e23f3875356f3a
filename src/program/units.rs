//! Durations and sizes as people write them on a command line.

use std::time::Duration;

/// Units of time, in milliseconds.
const TIMES: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Units of size, in bytes.
const SIZES: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// A duration: a whole number and its unit, such as `15s` or `500ms`; or `0`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let ms = amount(text, &TIMES);
    ms.map(Duration::from_millis).ok_or_else(|| "write it as 500ms, 15s, 2m, 1h or 0".to_owned())
}

/// A size: a whole number of bytes, or with a unit, such as `32KiB`.
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    let bytes = amount(text, &SIZES).and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| "write it as 4096, 32KiB or 1MiB".to_owned())
}

/// A number of units, such as `15s`, in the smallest unit; nothing when it is not one or does
/// not fit.
fn amount(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_unless_they_are_zero() {
        for (text, ms) in [
            ("15s", 15_000),
            ("500ms", 500),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("2 s", 2000),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "15", "s", "-1s", "1.5s", "15 sec", "1s2", "99999999999999999999s", "5  s"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(duration("999999999999999999d").is_err());
    }

    #[test]
    fn sizes_may_have_a_unit() {
        for (text, size) in [
            ("0", 0),
            ("4096", 4096),
            ("12B", 12),
            ("32KiB", 32 << 10),
            ("32kib", 32 << 10),
            ("1 MiB", 1 << 20),
            ("2GiB", 2 << 30),
            ("3kB", 3000),
            ("1MB", 1_000_000),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "KiB", "1.5MiB", "-1", "1K", "1MiBs", "99999999999GiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
