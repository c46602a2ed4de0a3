//! Templates of routes that a user gives: `/users/*/orders`, `/static/**`.

use core::fmt;
use core::str::FromStr;

use super::{ANY, DEEPER};

/// Most templates.
pub const TEMPLATES_MAX: usize = 256;
/// Longest template, in bytes.
const TEMPLATE_LEN_MAX: usize = 256;

/// A segment of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    /// This one.
    Is(String),
    /// Any one: `*`, `{id}`, `:id`.
    Any,
}

/// A template: one route, whatever stands at its stars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    segments: Vec<Segment>,
    /// Whether any number of segments follows: `**`.
    goes_on: bool,
}

/// Why a text is no template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It does not begin with a slash.
    #[error("a route begins with a slash, like /users/*/orders")]
    NoSlash,
    /// It is too long.
    #[error("a route has at most {TEMPLATE_LEN_MAX} bytes")]
    TooLong,
    /// `**` is not its last segment.
    #[error("** stands for any number of segments at the end of a route alone, like /static/**")]
    NotLast,
    /// It has blanks, a query, or letters that cannot stand in a path.
    #[error("a route is a path without a query, with * for any segment, like /users/*/orders")]
    NoPath,
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        if text.len() > TEMPLATE_LEN_MAX {
            return Err(TemplateError::TooLong);
        }
        let path = text.strip_prefix('/').ok_or(TemplateError::NoSlash)?;
        let mut template = Self {
            segments: Vec::new(),
            goes_on: false,
        };
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            if template.goes_on {
                return Err(TemplateError::NotLast);
            }
            let is_name = |byte: u8| byte.is_ascii_graphic() && !b"*?#;%".contains(&byte);
            let is_named =
                segment.starts_with(':') || (segment.starts_with('{') && segment.ends_with('}'));
            match segment {
                DEEPER => template.goes_on = true,
                ANY => template.segments.push(Segment::Any),
                _ if !segment.bytes().all(is_name) => return Err(TemplateError::NoPath),
                _ if is_named => template.segments.push(Segment::Any),
                _ => template.segments.push(Segment::Is(segment.to_owned())),
            }
        }
        Ok(template)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Is(name) => write!(f, "/{name}")?,
                Segment::Any => write!(f, "/{ANY}")?,
            }
        }
        if self.goes_on {
            return write!(f, "/{DEEPER}");
        }
        if self.segments.is_empty() {
            f.write_str("/")?;
        }
        Ok(())
    }
}

impl Template {
    /// Whether a path of these segments has this route.
    pub(super) fn fits(&self, segments: &[String]) -> bool {
        let is_long_enough = if self.goes_on {
            segments.len() >= self.segments.len()
        } else {
            segments.len() == self.segments.len()
        };
        is_long_enough
            && self
                .segments
                .iter()
                .zip(segments)
                .all(|(wanted, segment)| match wanted {
                    Segment::Any => true,
                    Segment::Is(name) => name == segment,
                })
    }
}

#[cfg(test)]
mod tests {
    use super::{Template, TemplateError};

    #[test]
    fn templates_are_read_and_shown() {
        for (text, shown) in [
            ("/", "/"),
            ("/users/{id}/orders", "/users/*/orders"),
            ("/users/:id/", "/users/*"),
            ("/static/**", "/static/**"),
            ("/**", "/**"),
        ] {
            assert_eq!(text.parse::<Template>().unwrap().to_string(), shown);
        }
        for (text, error) in [
            ("users", TemplateError::NoSlash),
            ("", TemplateError::NoSlash),
            ("/**/x", TemplateError::NotLast),
            ("/a b", TemplateError::NoPath),
            ("/a?b=1", TemplateError::NoPath),
            ("/a*", TemplateError::NoPath),
        ] {
            assert_eq!(text.parse::<Template>(), Err(error), "{text}");
            assert!(!error.to_string().is_empty());
        }
        let long = format!("/{}", "a".repeat(256));
        assert_eq!(long.parse::<Template>(), Err(TemplateError::TooLong));
    }
}
