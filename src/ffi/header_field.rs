//! Header fields of HTTP across the border.

use super::text::FanfareText;

/// A header field of HTTP: a name and a value. It never grows, so that it has no size.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareHeader {
    /// Its name, such as `X-Robots-Tag`.
    pub name: FanfareText,
    /// Its value: visible ASCII, spaces and tabs.
    pub value: FanfareText,
}
