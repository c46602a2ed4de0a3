//! Fields of a head: their values by name, and the elements of values that are lists (RFC 9110, section 5.6.1).

use httparse::Header;

/// The values of all fields of this name, in any case of letters.
pub(super) fn values<'a, 'b>(
    fields: &'a [Header<'b>],
    name: &'a str,
) -> impl Iterator<Item = &'b [u8]> + 'a {
    fields
        .iter()
        .filter(move |field| field.name.eq_ignore_ascii_case(name))
        .map(|field| field.value)
}

/// The elements of a list, blanks around them taken away.
pub(super) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    value.split(|byte| *byte == b',').map(move |element| {
        let start = element.iter().position(|byte| !is_blank(byte));
        let end = element.iter().rposition(|byte| !is_blank(byte));
        start
            .zip(end)
            .map_or(&element[..0], |(start, end)| &element[start..=end])
    })
}
