//! `strftime_now`: the date, as templates write it into system prompts.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::{Error, ErrorKind};

use super::Clock;

const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The longest format: a date has no use for more.
const MAX_FORMAT: usize = 256;

/// A moment as people write it.
struct Moment {
    year: i64,
    /// From 0.
    month: usize,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    /// From Sunday.
    weekday: usize,
    /// From 0.
    day_of_year: i64,
}

impl Moment {
    /// Seconds since 1970, in UTC. The days are counted in eras of 400 years that begin in March (Howard Hinnant,
    /// "chrono-compatible low-level date algorithms").
    fn of_utc(seconds: i64) -> Moment {
        let days = seconds.div_euclid(86_400);
        let time = seconds.rem_euclid(86_400);
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let since_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * since_march + 2) / 153;
        let day = since_march - (153 * month_from_march + 2) / 5 + 1;
        let month = (month_from_march + 2) % 12;
        let year = year_of_era + 400 * era + i64::from(month < 2);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let before_march = 59 + i64::from(leap);
        let day_of_year = if month < 2 { since_march - 306 } else { since_march + before_march };
        Moment {
            year,
            month: month as usize,
            day,
            hour: time / 3600,
            minute: time / 60 % 60,
            second: time % 60,
            weekday: (days + 4).rem_euclid(7) as usize,
            day_of_year,
        }
    }

    fn now(clock: Clock) -> Moment {
        match clock {
            Clock::Fixed(seconds) => Moment::of_utc(seconds),
            Clock::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let seconds = i64::try_from(since.as_secs()).unwrap_or(0);
                Moment::of_utc(seconds + local_offset(seconds))
            }
        }
    }
}

/// Seconds by which local time is ahead of UTC.
#[cfg(unix)]
fn local_offset(seconds: i64) -> i64 {
    let time: libc::time_t = seconds as libc::time_t;
    // SAFETY: all zeros are a `tm`, whose fields are integers and a pointer that nobody reads.
    let mut local: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to values that outlive the call.
    let done = unsafe { libc::localtime_r(&raw const time, &raw mut local) };
    if done.is_null() { 0 } else { local.tm_gmtoff as i64 }
}

#[cfg(not(unix))]
fn local_offset(_: i64) -> i64 {
    0
}

/// Python's `datetime.now().strftime(format)`, in the C locale; directives that have no place in a system prompt are an
/// error.
pub(super) fn strftime(format: &str, clock: Clock) -> Result<String, Error> {
    let refused = |what: String| Error::new(ErrorKind::InvalidOperation, what);
    if format.len() > MAX_FORMAT {
        return Err(refused(format!("strftime_now: a format of more than {MAX_FORMAT} bytes")));
    }
    let now = Moment::now(clock);
    let hour12 = (now.hour + 11) % 12 + 1;
    let mut out = String::new();
    let mut signs = format.chars();
    while let Some(sign) = signs.next() {
        if sign != '%' {
            out.push(sign);
            continue;
        }
        let mut directive = signs.next();
        // `%-d`: without padding.
        let padded = directive != Some('-');
        if !padded {
            directive = signs.next();
        }
        let mut number = |value: i64, width: usize| {
            let width = if padded { width } else { 0 };
            let _ = write!(out, "{value:0width$}");
        };
        match directive {
            Some('Y') => number(now.year, 4),
            Some('y') => number(now.year.rem_euclid(100), 2),
            Some('m') => number(now.month as i64 + 1, 2),
            Some('d') => number(now.day, 2),
            Some('H') => number(now.hour, 2),
            Some('I') => number(hour12, 2),
            Some('M') => number(now.minute, 2),
            Some('S') => number(now.second, 2),
            Some('j') => number(now.day_of_year + 1, 3),
            Some('w') => number(now.weekday as i64, 1),
            Some('e') => {
                let _ =
                    if padded { write!(out, "{:2}", now.day) } else { write!(out, "{}", now.day) };
            }
            Some('B') => out += MONTHS[now.month],
            Some('b' | 'h') => out += &MONTHS[now.month][..3],
            Some('A') => out += DAYS[now.weekday],
            Some('a') => out += &DAYS[now.weekday][..3],
            Some('p') => out += if now.hour < 12 { "AM" } else { "PM" },
            Some('F') => out += &strftime("%Y-%m-%d", clock)?,
            Some('T') => out += &strftime("%H:%M:%S", clock)?,
            Some('D') => out += &strftime("%m/%d/%y", clock)?,
            Some('%') => out.push('%'),
            other => {
                let other = other.map(String::from).unwrap_or_default();
                return Err(refused(format!("strftime_now: %{other} is not supported")));
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_python() {
        let all = "%Y %y %m %d %H %I %M %S %j %w %B %b %A %a %p %e %-d %-m %F %T %D %%";
        // What `datetime.fromtimestamp(n, timezone.utc).strftime` of Python 3.11 prints.
        for (seconds, text) in [
            (
                1_721_984_703,
                "2024 24 07 26 09 09 05 03 208 5 July Jul Friday Fri AM 26 26 7 2024-07-26 09:05:03 07/26/24 %",
            ),
            (
                951_868_799,
                "2000 00 02 29 23 11 59 59 060 2 February Feb Tuesday Tue PM 29 29 2 2000-02-29 23:59:59 02/29/00 %",
            ),
            (
                4_107_542_400,
                "2100 00 03 01 00 12 00 00 060 1 March Mar Monday Mon AM  1 1 3 2100-03-01 00:00:00 03/01/00 %",
            ),
            (
                1_735_689_599,
                "2024 24 12 31 23 11 59 59 366 2 December Dec Tuesday Tue PM 31 31 12 2024-12-31 23:59:59 12/31/24 %",
            ),
            (
                -1,
                "1969 69 12 31 23 11 59 59 365 3 December Dec Wednesday Wed PM 31 31 12 1969-12-31 23:59:59 12/31/69 %",
            ),
        ] {
            assert_eq!(strftime(all, Clock::Fixed(seconds)).unwrap(), text);
        }
    }

    #[test]
    fn a_directive_that_is_not_known_is_named_and_a_long_format_refused() {
        let message = |format: &str| strftime(format, Clock::Fixed(0)).unwrap_err().to_string();
        assert!(message("%Q").contains("%Q"));
        assert!(message("100%").contains('%'));
        assert!(message(&"%Y".repeat(200)).contains("256"));
    }
}
