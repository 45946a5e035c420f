//! How pages show times, durations and text that others wrote.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use askama::filters::HtmlSafe;
use time::{UtcDateTime, format_description::StaticFormatDescription, macros::format_description};

/// The format of a form's field of the type `datetime-local`.
const LOCAL: StaticFormatDescription = format_description!("[year]-[month]-[day]T[hour]:[minute]");
const MACHINE: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
const DAY: StaticFormatDescription =
    format_description!("[day padding:none] [month repr:short] [year]");
const TIME: StaticFormatDescription = format_description!("[hour]:[minute]:[second]");

/// A time, in UTC. `Display` is an element `time`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(UtcDateTime);

impl Moment {
    pub(super) fn now() -> Self {
        Self(UtcDateTime::now())
    }

    pub(super) fn from_millis(millis: u64) -> Self {
        Self::from(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
    }

    /// Reads a form's field, in UTC.
    pub(super) fn parse(text: &str) -> Option<Self> {
        time::PrimitiveDateTime::parse(text, LOCAL)
            .ok()
            .map(|it| Self(it.as_utc()))
    }

    pub(super) fn as_millis(self) -> u64 {
        let millis = self.0.unix_timestamp_nanos() / 1_000_000;
        u64::try_from(millis).unwrap_or_default()
    }

    pub(super) fn short(self) -> Short {
        Short(self)
    }

    /// Returns how long it is until then, if it is later than now.
    pub(super) fn left(self) -> Option<Duration> {
        SystemTime::from(self.0)
            .duration_since(SystemTime::now())
            .ok()
    }
}

/// A time, without its date if that is today, for tables.
pub(super) struct Short(Moment);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(moment) = self;
        if moment.0.date() != Moment::now().0.date() {
            return moment.fmt(f);
        }
        let text = |format| moment.0.format(format).map_err(|_| fmt::Error);
        write!(
            f,
            r#"<time datetime="{}">{}</time>"#,
            text(MACHINE)?,
            text(TIME)?
        )
    }
}

impl HtmlSafe for Short {}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Self {
        // A time that no year can name is a far one.
        let since = time
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        let date = UtcDateTime::from_unix_timestamp(seconds).unwrap_or(UtcDateTime::MAX);
        Self(
            date.replace_nanosecond(since.subsec_nanos())
                .unwrap_or(date),
        )
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |format| self.0.format(format).map_err(|_| fmt::Error);
        let (machine, day, time) = (text(MACHINE)?, text(DAY)?, text(TIME)?);
        write!(f, r#"<time datetime="{machine}">{day}, {time} UTC</time>"#)
    }
}

impl HtmlSafe for Moment {}

/// Returns a duration in words, such as `2 h 5 min`, rounded down.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let part = |value: u64, unit: &str| match value {
        0 => String::new(),
        _ => format!(" {value} {unit}"),
    };
    let text = match seconds {
        0..60 => format!("{seconds} s"),
        60..600 => part(seconds / 60, "min") + &part(seconds % 60, "s"),
        600..3600 => part(seconds / 60, "min"),
        3600..86_400 => part(seconds / 3600, "h") + &part(seconds % 3600 / 60, "min"),
        _ => part(seconds / 86_400, "d") + &part(seconds % 86_400 / 3600, "h"),
    };
    text.trim().to_owned()
}

/// Returns text that others wrote, with its control characters and those that change the direction of text
/// by their code, because they could make a name look like another one.
pub(super) fn visible(text: &str) -> String {
    let is_hidden = |it: char| {
        it.is_control()
            || matches!(it, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    };
    text.chars()
        .fold(String::with_capacity(text.len()), |mut shown, it| {
            match it {
                '\n' | '\r' | '\t' => shown.push(' '),
                _ if is_hidden(it) => shown += &format!("[U+{:04X}]", u32::from(it)),
                _ => shown.push(it),
            }
            shown
        })
}

/// Returns the beginning of a text for a table.
pub(super) fn beginning(text: &str) -> String {
    const LONGEST: usize = 120;
    let shown = visible(text);
    match shown.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", shown[..end].trim_end()),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_has_its_two_largest_units() {
        let texts =
            [0, 59, 61, 600, 659, 3600, 7500, 90_000].map(|it| duration(Duration::from_secs(it)));
        assert_eq!(
            texts,
            [
                "0 s",
                "59 s",
                "1 min 1 s",
                "10 min",
                "10 min",
                "1 h",
                "2 h 5 min",
                "1 d 1 h"
            ]
        );
    }

    #[test]
    fn visible_text_shows_characters_that_change_its_direction() {
        assert_eq!(
            visible("user_\u{202e}nimda\u{0}\n"),
            "user_[U+202E]nimda[U+0000] "
        );
    }

    #[test]
    fn moment_of_a_far_time_is_shown() {
        let far = Moment::from_millis(u64::MAX);
        assert!(far.to_string().contains("9999"), "{far}");
    }
}
